#!/bin/sh
# Memory and time of a short answer with the default model: at the peak at most 1.1 times the file,
# 24 MiB for the program, vocabulary, buffers and what was used of the cache, and 10 MiB for the
# sidecar that ships; the first byte of the answer within half a second of the start (best of five
# runs, the file in the system's cache).  With a little model too (the model itself when none
# ships) and a full context the process takes what was planned before loading, within 5 %.
program=${B:-build/release}/s3dchat
model=${S3D_TEST_MODEL:-build/model/SmolLM2-135M-Instruct.Q4_1.gguf}
if [ ! -f "$model" ]; then
	echo "ok 1 - start # SKIP no model at $model (S3D_TEST_MODEL names another)"
	exit 0
fi
case $program in */release/*) ;; *)
	echo "ok 1 - start # SKIP only the release build is made to be fast and small"
	exit 0 ;;
esac
exec python3 - "$program" "$model" <<'P'
import json, os, resource, subprocess, sys, time
program, model = sys.argv[1:]
cpu = [program, '-m', model, '--backend', 'cpu']
best = 9.0
for _ in range(5):
    start = time.monotonic()
    run = subprocess.Popen(cpu + ['-md', 'none', '-p', 'Say hello.', '-n', '8', '--temp', '0'],
                           stdout=subprocess.PIPE)
    run.stdout.read(1)
    best = min(best, time.monotonic() - start)
    run.stdout.read()
    failed = run.wait()
    if failed:
        break
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
limit = os.path.getsize(model) * 11 // 10 + (34 << 20)
little = 'models/SmolLM2-135M-Instruct.little.gguf'
out = subprocess.run(cpu + ['-md', little if os.path.exists(little) else model,
                            '-c', '1024', '-n', '50', '--strategy', 'draft', '--json', '-s', '1',
                            '-p', 'word of it ' * 325], stdout=subprocess.PIPE).stdout
o = json.loads(out)
memory, used = o['memory'], o['context_used']
plan = memory['planned'] / memory['process']
bad = False
for n, (ok, text) in enumerate([
        (not failed, 'the program answers'),
        (peak <= limit, f'peak memory {peak >> 20} MiB, at most {limit >> 20} MiB'),
        (memory['little_model'] and used > 1000 and 0.95 < plan < 1.05,
         f'with {used} tokens of 1024 and a little model {100 * plan:.1f} % of the memory taken '
         'was planned'),
        (best < 0.5, f'first byte after {best:.2f} s, under 0.5 s')], 1):
    print('ok' if ok else 'not ok', n, '-', text)
    bad |= not ok
sys.exit(bad)
P
