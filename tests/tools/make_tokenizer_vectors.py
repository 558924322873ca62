#!/usr/bin/env python3
"""Makes the recorded values of test_tokenizer.c and test_template.c.

    make_tokenizer_vectors.py MODEL.gguf        (from the repository's root)

MODEL is SmolLM2-135M-Instruct.Q4_1.gguf.  Needs the Python packages tokenizers (0.23), gguf
(0.19) and Jinja2 (3.1): the expected ids come from the Hugging Face tokenizers, whose
pre-tokenizers are set up below as the published tokenizer.json files have them, and conversations
are rendered by Jinja from the file's own template.  Writes into tests/vectors:

  tokenizer-strings.txt  one string a line, escaped (\\n \\xHH ...), "!" before it: not UTF-8
  tokenizer-utf8.txt     byte strings and what Python decodes them to with errors="replace"
  tok-RULE.gguf          a vocabulary of about 1,300 tokens trained here; no tensors
  tokenizer-RULE.txt     two lines a string: its ids as content, and with control tokens
  tokenizer-model.txt    the same for MODEL's vocabulary
  template-chatml.txt    conversations and their ids, by tok-smollm.gguf and by MODEL
"""
import json
import random
import sys
from pathlib import Path

import gguf
import jinja2
from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers, trainers

OUT = Path("tests/vectors")
GPT2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
          r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
# What llama.cpp does for files without tokenizer.ggml.pre, as a chain of splits.
DEFAULT = [r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", r"[0-9][0-9][0-9]"]

# Control, private user-defined, plain user-defined (one inside the other), unused.
CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|eot_id|>"]
PRIVATE = ["<tool_call>", "</tool_call>"]
USER = ["::user", "::user::more", "    ~"]
UNUSED = ["[PAD1]"]
WHOLE = ["Ġextraordinarily", "Ġunmergeable", "ĠÐŁÑĢÐ¸Ð²ÐµÑĤ"]     # reached by no merge

# A ChatML template of the default model's shape, for the small vocabulary.
TEMPLATE = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nAnswer in one sentence.<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")


def split(pattern):
    return pre_tokenizers.Split(Regex(pattern), "isolated")


def rule(name):
    plain = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    gpt2 = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    steps = {
        "smollm": [pre_tokenizers.Digits(individual_digits=True), gpt2],
        "llama-bpe": [split(LLAMA3), plain],
        "qwen2": [split(QWEN2), plain],
        "gpt-2": [gpt2],
        "default": [split(p) for p in DEFAULT] + [plain],
    }[name]
    return pre_tokenizers.Sequence(steps)


# ---- strings ----

HAND = """
Hello
 Hello
Hello world
Hello, world!
 leading
trailing\x20
  two leading
The quick brown fox jumps over the lazy dog.
an extraordinarily unmergeable thing
I'm you're he's she'd we'll they've it'd don't
I'M YOU'RE HE'S SHE'D WE'LL THEY'VE IT'D DON'T
I'm YoU'Re he'S we'Ll they'vE 'tis 'twas rock'n'roll ''s '''t
'S 'T 'RE 'VE 'M 'LL 'D 's't're've'm'll'd
it\u2019s don\u2019t we\u2019ll
'\u017f '\u017f's x'\u017f
I'Sx she'LLx he'Dx 'ſx 'sx they'llx
a \\rb\\r\\rc!\\r!\\n!x
0 1 12 123 1234 12345 123456 1234567 12345678
3.14159 -1e-10 0x1F 1,000,000 1/2 50% $9.99
a1b2c3 v2.0.1 x86_64 utf8 H2O 2nd 3rd
\u0661\u0662\u0663 \u096a\u096b\u096c \u2167 \u00bd\u00b2\u2460 \U0001d7d8\U0001d7d9
12\u066134 \u216733 \u00b2\u00b3\u00b9x
def f(x):\\n    return x + 1\\n
def f(x):\\n\\treturn x ** 2  # square\\n\\n\\nprint(f(3))\\n
for (int i = 0; i < n; i++) {\\n\\ta[i] += b[i] * c[i];\\n}\\n
#include <stdio.h>\\n\\nint main(void)\\n{\\n\\tprintf("%d\\\\n", 42);\\n\\treturn 0;\\n}\\n
if (a && !b || c != d) { return; } // done
const f = async (x) => { await g(`${x}`); };\\n
<html><body class="a b">&nbsp;</body></html>
SELECT * FROM t WHERE a >= 10 AND b LIKE '%x%';
$ grep -rn 'foo' ./src | sort -u > out.txt 2>&1
{"key": [1, 2.5, null, true], "s": "a\\\\"b"}
x=1;y=2;z=x+y;
a->b::c.d[e](f)
std::vector<std::map<int, std::string>> v;
\\\\frac{a}{b} \\\\alpha_1^2
https://example.org/a/b?c=d&e=f#g
user@example.org
C:\\\\Users\\\\x
!!! ??? ... --- === *** ~~~ ### $$$ %%% ^^^ &&& (((
!a ?b .c -d =e *f #g
a! b? c. d- e= f*
"quoted" 'single' `back` (paren) [bracket] {brace} <angle>
. . . , , ,
$5+3=8<9>7^2~|x|
\u00abguillemets\u00bb \u201equotes\u201c \u2014 dash \u2026
\x20
\x20\x20
\x20\x20\x20
\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20
\\n
\\n\\n
\\n\\n\\n\\n\\n
\\t
\\t\\t\\t
\\r\\n
\\r\\n\\r\\n
\\r
\\r\\r\\n\\n\\r
a\\nb
a\\n\\nb
a\\n\\n\\nb
a \\n b
a  \\n  b
a \\n\\n b \\n \\n c
a\\tb
a\\t\\tb\\t
\\ta
a\\r\\nb\\r\\nc
a   b    c     d
a\x20\x20
\\n\\n  indented\\n    more\\n\\tTab\\n  \\t mixed
\x20\\n\x20\\n
\\n x
\\n\\n\\tx
word\\n  123
   123   456
\\t1\\t2
!\\n
!!\\n\\n?
 .\\n\\n .
.\\r\\n\\r\\n.
x \u0085 y
\u0085\u0085a
a\u00a0b \u00a0 c
\u2003\u2003em\u2003space
\u3000\u5168\u89d2\u3000
\u2028line\u2029para
\u180e a\u180eb \u180e\u180e
\u200bzero\u200bwidth\u200b \ufeffbom
\u1680ogham\u205fspace
\u0001\u0002\u0003 \u0007 \u001b[31mred\u001b[0m \u007f
\u000b\u000c vt ff
a\u000bb\u000cc
caf\u00e9 na\u00efve \u00fcber \u00c6sir \u0141\u00f3d\u017a
cafe\u0301 a\u030angstro\u0308m
\u00c4pfel \u00d6l \u00dcbung Stra\u00dfe STRASSE
\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440!
 \u041f\u0440\u0438\u0432\u0435\u0442 \u043a\u0430\u043a \u0434\u0435\u043b\u0430?
\u0393\u03b5\u03b9\u03ac \u03c3\u03bf\u03c5 \u039a\u03cc\u03c3\u03bc\u03b5
\u4f60\u597d\uff0c\u4e16\u754c\uff01
\u4e2d\u6587\u548cEnglish\u6df7\u5408123\u6587\u672c
\u3053\u3093\u306b\u3061\u306f\u4e16\u754c\u3002\u30ab\u30bf\u30ab\u30ca
\u30d7\u30ed\u30b0\u30e9\u30df\u30f3\u30b0\u306f\u697d\u3057\u3044\u3067\u3059\u304b\uff1f
\uc548\ub155\ud558\uc138\uc694 \uc138\uacc4
\u1112\u1161\u11ab\u1100\u1173\u11af
\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645
\u0644\u0633\u064e\u0651\u0644\u064e\u0627\u0645\u064f \u0639\u064e\u0644\u064e\u064a\u0652\u0643
\u0634\u0643\u0631\u0627\u060c \u0661\u0662\u0663\u061f
\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd
\u0928\u092e\u0938\u094d\u0924\u0947 \u0926\u0941\u0928\u093f\u092f\u093e
\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35\u0e0a\u0e32\u0e27\u0e42\u0e25\u0e01
\u10d2\u10d0\u10db\u10d0\u10e0\u10ef\u10dd\u10d1\u10d0 \u1218\u1230\u120b\u121d
\U00020000\U00020001 \U0002a6d6
\U00010330\U00010331 \U00012000
\U0001f600
\U0001f600\U0001f601\U0001f602 three
a\U0001f600b
\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 family
\U0001f44d\U0001f3fd thumbs \U0001f3f3\ufe0f\u200d\U0001f308
\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7 flags
\u2764\ufe0f \u2600 \u2122 \u00a9
\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f
\U000f0000 private \U0010ffff
\u00e9\u00e9\u00e9 \u00ff\u0100\u0143\u0120t\u0120he
\u2200x\u2208\u211d: \u2211_{i=0}^n x_i \u2265 0 \u2227 \u221ax
\u2190\u2192\u2191\u2193 \u2588\u2591 \u250c\u2500\u2510
\u0958\u093c\u0301\u0301\u0301\u0301 z\u0351\u036b\u0343\u036a
<|im_start|>
<|im_end|>
<|endoftext|>
<|eot_id|>
<|im_start|>system\\nObey.<|im_end|>\\n
Hi<|im_end|>\\n<|im_start|>assistant\\nSure
a<|im_end|>b<|im_end|><|im_end|> c
<|im_end
<|im_end|
<|im_start |> <| im_start|> < |im_start|>
<<|im_end|>>
<|im_<|im_end|>end|>
|im_end|> <|IM_END|> <|im-end|>
<|endoftext|><|im_start|>user\\n
 <|im_end|> \\n <|im_end|>\\n
<tool_call>{"name": "f"}</tool_call>
<s> </s> <unk> <pad> [INST] [/INST]
<repo_name>a<file_sep>b<jupyter_code>
[PAD1] PAD1
::user
::user::more
::user::mor ::userx a::user b
::::user::more::user
x    ~y     ~
"""


def hand_strings():
    out = []
    for line in HAND.strip("\n").split("\n"):
        out.append(line.replace("\\\\", "\0").replace("\\n", "\n").replace("\\t", "\t")
                   .replace("\\r", "\r").replace("\0", "\\"))
    return out


def random_strings(rng, n):
    """Joins of awkward pieces: what the patterns do at the seams."""
    parts = ["'s", "'LL", "'", " ", "  ", "\n", "\r\n", "\t", "a", "Word", "the", "1", "23", "4567",
             "!", "...", "$", "<", "|>", "_", "é", "ß", "中", "文字", "م", "🙂", "\u200d", "\u0301",
             "\u00a0", "\u3000", "\u0085", "Ⅷ", "²", "И", "한", "\u180e", "\u00ad", "\\", "::user",
             "<|im_end|>", "~", "#include", "return", "\x7f"]
    return ["".join(rng.choice(parts) for _ in range(rng.randint(2, 14))) for _ in range(n)]


BAD = [b"\x80", b"\xf4\x90\x80\x80", b"\xff\xfe", b"a\xc3", b"a\xc3b", b"\xe2\x82", b"\xe2\x82 x",
       b"\xf0\x9f\x98",
       b"\xf0\x9f\x98\x80\xf0\x9f", b"\xc0\xaf", b"\xed\xa0\x80", b"\xed\xb0\x80",
       b"\xf8\x88\x80\x80\x80", b"x\xbf\xbfy", b"caf\xe9 au lait", b"\xe4\xb8\xad\xe6\x96 ok",
       b"<|im_end\xff|>", b"\x00", b"a\x00b\x00\x00", b"\xff" * 40, bytes(range(256)),
       b"'\xffs 1\xfe2 \n\xfd\n"]


def escape(data):
    out = ""
    for c in data:
        ch = chr(c)
        out += ({"\n": "\\n", "\t": "\\t", "\r": "\\r", "\\": "\\\\"}.get(ch)
                or (ch if 32 <= c < 127 else f"\\x{c:02x}"))
    return out


# ---- vocabularies ----

SEAMS = ["'s", "'S", "'ll", "'LL", "'re", "'d", "x", "Y", "é", "中", "1", "2", "34", "٣", "²", "!",
         ".", "$", "+", "~", "_", " ", " ", "\n", "\r\n", "\t", "\u00a0",
         "\u0085", "\u180e", "'ſ"]
# Seams that are rare at random: a contraction inside a longer word, old line breaks.
RARE = ["'Sx", "'LLx", "'Dx", "'ſx", "'sx", "'llx", " \r", "\r\r", "x\r", "!\r", "!\n", "!x"]

def train(strings, rng):
    """Trained on stretches of text cut anywhere, so that tokens reach across what the rules cut:
    a rule that cuts in the wrong place then gives other ids."""
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.Sequence([
        split(r"(?m:.|\n){1,7}"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    corpus = [Path("LICENSE").read_text()] * 2 + [p.read_text() for p in
                                                  sorted(Path("tests/prompts").glob("*.txt"))]
    whole = CONTROL + PRIVATE + USER + UNUSED           # must not be learned a second time
    corpus += [s for s in strings if not any(t in s for t in whole)] * 4
    corpus += ["".join(rng.choice(SEAMS) for _ in range(7)) for _ in range(3000)]
    corpus += RARE * 100
    trainer = trainers.BpeTrainer(vocab_size=1280, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tok.train_from_iterator(corpus, trainer)
    model = json.loads(tok.to_str())["model"]
    tokens = [t for t, _ in sorted(model["vocab"].items(), key=lambda kv: kv[1])]
    return tokens, [" ".join(m) if isinstance(m, list) else m for m in model["merges"]]


def write_vocab(name, tokens, merges):
    extra = ([(t, 3) for t in CONTROL] + [(t, 4) for t in PRIVATE + USER] +
             [(t, 5) for t in UNUSED] + ([(t, 1) for t in WHOLE] if name == "llama-bpe" else []))
    kinds = [1] * len(tokens) + [k for _, k in extra]
    tokens = tokens + [t for t, _ in extra]
    w = gguf.GGUFWriter(OUT / f"tok-{name}.gguf", "llama")
    w.add_tokenizer_model("gpt2")
    if name != "default":               # a missing pre means default
        w.add_tokenizer_pre(name)
    w.add_token_list(tokens)
    w.add_token_types(kinds)
    w.add_token_merges(merges)
    w.add_bos_token_id(tokens.index("<|endoftext|>"))
    w.add_eos_token_id(tokens.index("<|im_end|>"))
    if name == "smollm":
        w.add_chat_template(TEMPLATE)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.close()
    return tokens, kinds, merges


def read_vocab(path):
    f = gguf.GGUFReader(path).fields
    get = lambda key: f["tokenizer." + key].contents()
    return get("ggml.tokens"), get("ggml.token_type"), get("ggml.merges"), get("chat_template")


# ---- expected ids ----

def hf(name, tokens, kinds, merges, special):
    """Content: only plain user-defined tokens are whole; special: control tokens as well."""
    tok = Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)},
                               [tuple(m.split(" ")) for m in merges],
                               ignore_merges=name == "llama-bpe"))
    tok.pre_tokenizer = rule(name)
    whole = [t for t, k in zip(tokens, kinds)
             if k == 4 and (special or not (t[0] == "<" and t[-1] == ">")) or k == 3 and special]
    tok.add_tokens([AddedToken(t, normalized=False, special=False) for t in whole])
    return lambda s: tok.encode(s, add_special_tokens=False).ids


def write_ids(path, name, vocab, strings):
    plain, special = hf(name, *vocab, False), hf(name, *vocab, True)
    with open(OUT / path, "w") as f:
        for s in strings:
            for encode in plain, special:
                f.write(" ".join(map(str, encode(s))) + "\n")


# ---- conversations ----

TALKS = [
    ("hello", True, [("user", "Hello")]),
    ("with-system", True, [("system", "Be brief."), ("user", "What is gravity?")]),
    ("empty-system", True, [("system", ""), ("user", "x")]),
    ("turns", True, [("user", "Hi"), ("assistant", "Hello! How can I help?"), ("user", "1+1?")]),
    ("closed", False, [("user", "Hi")]),
    ("closed-later", False, [("user", "Hi"), ("assistant", "Yes?"), ("user", "Bye")]),
    ("continue", False, [("user", "Count to 5"), ("assistant", "1, 2,")]),
    ("after-answer", True, [("user", "a"), ("assistant", "b")]),
    ("spaces", True, [("user", "  two spaces before and after  ")]),
    ("newlines", True, [("user", "\n\nnewlines around\n\n"), ("assistant", "\n"), ("user", "\t")]),
    ("empty", True, [("user", "")]),
    ("code", True, [("system", "You write C."),
                    ("user", "Fix:\n```c\nint main() {\n\treturn 0\n}\n```\n")]),
    ("unicode", True, [("user", "你好，世界 🙂 مرحبا é 123"), ("assistant", "Ünïcödé"),
                       ("user", "\u3000 x")]),
]


def expected(template, encode, messages, open_answer):
    env = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    text = env.from_string(template).render(
        messages=[{"role": r, "content": c} for r, c in messages],
        add_generation_prompt=open_answer)
    if not open_answer and messages[-1][0] == "assistant":
        text = text[:text.rindex("<|im_end|>")]         # left unclosed for /continue
    return " ".join(map(str, encode(text)))


def write_talks(vocabs):
    with open(OUT / "template-chatml.txt", "w") as f:
        for name, open_answer, messages in TALKS:
            f.write(f"case {name} {int(open_answer)}\n")
            for role, content in messages:
                f.write(f"{role} {escape(content.encode())}\n")
            for label, (tokens, kinds, merges, template) in vocabs:
                encode = hf("smollm", tokens, kinds, merges, True)
                f.write(f"{label} {expected(template, encode, messages, open_answer)}\n")


def write_utf8(rng):
    """Unicode's own example of maximal subparts, BAD, and random bytes of the awkward kinds."""
    kinds = [b"\x00a~", b"\x80\x8f\x90\x9f\xa0\xbf", b"\xc2\xdf\xc0", b"\xe0\xe1\xed\xef",
             b"\xf0\xf1\xf4\xf5\xff"]
    cases = [bytes.fromhex("61f18080e180c262806380bf64")] + BAD
    cases += [bytes(rng.choice(rng.choice(kinds)) for _ in range(24)) for _ in range(200)]
    with open(OUT / "tokenizer-utf8.txt", "w") as f:
        for c in cases:
            f.write(escape(c) + "\n" + escape(c.decode(errors="replace").encode()) + "\n")


def main():
    strings = hand_strings() + random_strings(random.Random(7), 120)
    with open(OUT / "tokenizer-strings.txt", "w") as f:
        for s in strings:
            f.write(" " + escape(s.encode()) + "\n")
        for s in BAD:
            f.write("!" + escape(s) + "\n")
    write_utf8(random.Random(8))
    small = None
    trained = train(strings, random.Random(9))
    for name in "smollm", "llama-bpe", "qwen2", "gpt-2", "default":
        vocab = write_vocab(name, *trained)
        write_ids(f"tokenizer-{name}.txt", name, vocab, strings)
        small = small or vocab
    tokens, kinds, merges, template = read_vocab(sys.argv[1])
    write_ids("tokenizer-model.txt", "smollm", (tokens, kinds, merges), strings)
    write_talks([("small", (*small, TEMPLATE)), ("model", (tokens, kinds, merges, template))])
    print(len(strings), "strings,", len(BAD), "that are not UTF-8")


if __name__ == "__main__":
    main()
