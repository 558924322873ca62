"""Where make_template_vectors.py has its templates from: public repositories at a commit."""

LLAMACPP = ("ye-NX/llama.cpp", "1eeb523c3e0c7ffbd59469f5463dcbdecba3535e")   # a clone of upstream
IK = ("ikawrakow/ik_llama.cpp", "8337e4cd3861406fc04e0854b1409cd1b027fbc9")
AXOLOTL = ("axolotl-ai-cloud/axolotl", "067b021c8b87a9e5e380b9173c704cf7340e30f5")
UNSLOTH = ("unslothai/unsloth", "015bdef0d94a241bcd94eec7a405b1700632180d")
TRL = ("huggingface/trl", "f2cd57710ae345ea6428ae95363267fcf38a3dc8")
TGI = ("huggingface/text-generation-inference", "db931fcf42da018a3657580c64bf2720f167f9ab")
MISTRAL = ("mistralai/mistral-common", "bc022b91aa1c3b1fb771ac70931ae0009dbf9bad")
MISTRALRS = ("EricLBuehler/mistral.rs", "9e922623f24b32d41f3892b74f0eed18707f4e6c")
GUIDANCE = ("guidance-ai/guidance", "5413339aad8d36ce49df29902a7730d025bd6027")
EVIL = ("Evilcarbon/DeepSeek-R1-Distill-Qwen-32B", "95ed18758e69372447a60f50c55e98f23beb287d")

JINJA, TEST = "models/templates/", "tests/test-chat-template.cpp"
RUST, CHAT = "router/src/infer/chat_template.rs", "guidance/chat.py"
MC = "tests/data/chat_templates/"

# Frame, model, repository, path, name inside of the path if it holds several, licence that the
# repository has it under (a model has its own), conversations that it renders otherwise (DIFFERS:
# most).  Of a frame's the first is what template-families.txt is made from.
DIFFERS = "differs"
SOURCES = [
    ("chatml", "cognitivecomputations/dolphin-2.5-mixtral-8x7b", TGI, RUST, "dolphin",
     "Apache-2.0"),
    ("chatml", "teknium/OpenHermes-2.5-Mistral-7B", LLAMACPP, TEST, "teknium", "MIT"),
    ("chatml", "Qwen/Qwen2.5-7B-Instruct", LLAMACPP, JINJA + "Qwen-Qwen2.5-7B-Instruct.jinja", None,
     "Apache-2.0"),
    ("chatml", "Qwen/Qwen3-4B-Instruct-2507", TRL, "trl/chat_templates/qwen3_instruct_2507.jinja",
     None, "Apache-2.0"),
    ("qwen3", "Qwen/Qwen3-0.6B", LLAMACPP, JINJA + "Qwen-Qwen3-0.6B.jinja", None, "Apache-2.0"),
    ("qwen3-thinking", "Qwen/QwQ-32B", LLAMACPP, JINJA + "Qwen-QwQ-32B.jinja", None, "Apache-2.0"),
    ("qwen3-thinking", "Qwen/Qwen3-4B-Thinking-2507, as unsloth has it", UNSLOTH,
     "unsloth/chat_templates.py", "qwen3_thinking_template", "Apache-2.0", "spaces"),
    ("llama2", "meta-llama/Llama-2-7b-chat-hf", MISTRALRS, "chat_templates/llama2.json", None,
     "MIT"),
    ("llama2", "meta-llama/Llama-2-7b-chat-hf", GUIDANCE, CHAT, "llama2_template", "MIT"),
    ("llama2", "transformers' default for Llama", TGI, RUST, "llama", "Apache-2.0"),
    ("llama3", "meta-llama/Meta-Llama-3-8B-Instruct", TRL, "trl/chat_templates/llama3.jinja", None,
     "Apache-2.0"),
    ("llama3.1", "meta-llama/Llama-3.1-8B-Instruct", TRL, "trl/chat_templates/llama3_1.jinja", None,
     "Apache-2.0"),
    ("llama3.1", "meta-llama/Llama-3.2-3B-Instruct", TRL, "trl/chat_templates/llama3_2.jinja", None,
     "Apache-2.0"),
    ("mistral-v1", "Mistral's v1", MISTRAL, MC + "v1_spm.jinja", None, "Apache-2.0"),
    ("mistral-v1", "mistralai/Mistral-7B-Instruct-v0.2", GUIDANCE, CHAT,
     "mistral_7b_instruct_template", "MIT"),
    # Their first templates had other spaces; Mistral's own library has those of the frame.
    ("mistral-v1", "mistralai/Mistral-7B-Instruct-v0.1", TGI, RUST, "mistralai/Mistral-7B",
     "Apache-2.0", DIFFERS),
    ("mistral-v1", "mistralai/Mixtral-8x7B-Instruct-v0.1", TGI, RUST, "mistralai/Mixtral",
     "Apache-2.0", DIFFERS),
    ("mistral-v3", "Mistral's v3 for Tekken", MISTRAL, MC + "v3.jinja", None, "Apache-2.0"),
    ("mistral-v3", "mistralai/Mistral-Nemo-Instruct-2407", LLAMACPP,
     JINJA + "mistralai-Mistral-Nemo-Instruct-2407.jinja", None, "Apache-2.0",
     "continue-thought"),       # it forgets the system prompt there
    # Those for SentencePiece write the space that it puts there.
    ("mistral-v3", "Mistral's v3 for SentencePiece", MISTRAL, MC + "v3_spm.jinja", None,
     "Apache-2.0", DIFFERS),
    ("mistral-v7", "Mistral's v7 for Tekken", MISTRAL, MC + "v7.jinja", None, "Apache-2.0"),
    ("mistral-v7", "mistralai/Mistral-Small-3.2-24B-Instruct-2506", LLAMACPP,
     JINJA + "Mistral-Small-3.2-24B-Instruct-2506.jinja", None, "Apache-2.0"),
    ("mistral-v7", "Mistral's v7 for SentencePiece", MISTRAL, MC + "v7_spm.jinja", None,
     "Apache-2.0", DIFFERS),
    ("mistral-v7", "mistralai/Mistral-Large-Instruct-2411", LLAMACPP, TEST, "Large-Instruct-2411",
     "MIT", DIFFERS),
    ("gemma", "google/gemma-3-4b-it", TRL, "trl/chat_templates/gemma3.jinja", None, "Apache-2.0"),
    ("gemma", "google/gemma-2-2b-it", TRL, "trl/chat_templates/gemma.jinja", None, "Apache-2.0"),
    ("phi3", "microsoft/Phi-3-mini-4k-instruct", TRL, "trl/chat_templates/phi3.jinja", None, "MIT"),
    ("phi3", "microsoft/Phi-3.5-mini-instruct", TRL, "trl/chat_templates/phi3_5.jinja", None,
     "MIT"),
    # It begins with BOS, which the frame leaves to what the file says.
    ("phi3", "microsoft/Phi-3-small", LLAMACPP, TEST, "Phi-3-small", "MIT", DIFFERS),
    ("phi3", "microsoft/Phi-3-medium", LLAMACPP, TEST, "Phi-3-medium", "MIT"),
    ("phi4-mini", "microsoft/Phi-4-mini-instruct", GUIDANCE, CHAT, "phi_4_mini_template", "MIT"),
    ("phi4", "microsoft/phi-4", LLAMACPP, TEST, "phi-4", "MIT"),
    ("phi4", "microsoft/Phi-4-reasoning, with marks for training", AXOLOTL,
     "src/axolotl/utils/chat_templates/templates/phi_4.jinja", None, "Apache-2.0"),
    ("zephyr", "HuggingFaceH4/zephyr-7b-beta", TGI, RUST, "HuggingFaceH4/zephyr-7b-beta",
     "Apache-2.0"),
    # Written for SentencePiece: a space stands before "USER" where that puts one.
    ("vicuna", "lmsys/vicuna-7b-v1.5", MISTRALRS, "chat_templates/vicuna.json", None, "MIT",
     DIFFERS),
    ("deepseek2", "deepseek-ai/DeepSeek-V2-Lite-Chat", LLAMACPP, TEST, "DeepSeek-V2", "MIT"),
    ("deepseek2", "deepseek-ai/deepseek-llm-7b-chat", TGI, RUST, "deepseek-llm-7b", "Apache-2.0"),
    ("deepseek3", "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B of January 2025", EVIL,
     "tokenizer_config.json", None, "MIT"),
    ("deepseek-r1", "deepseek-ai/DeepSeek-R1-Distill-Llama-8B", LLAMACPP,
     JINJA + "deepseek-ai-DeepSeek-R1-Distill-Llama-8B.jinja", None, "MIT"),
    ("deepseek-r1", "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B", LLAMACPP,
     JINJA + "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B.jinja", None, "MIT"),
    ("granite", "ibm-granite/granite-3.0-8b-instruct", LLAMACPP, TEST, "granite-3.0", "MIT"),
    ("granite", "ibm-granite/granite-3.3-2b-instruct", LLAMACPP,
     JINJA + "ibm-granite-granite-3.3-2B-Instruct.jinja", None, "Apache-2.0"),
]
# Relatives that no frame fits, but that have much in common with one.
NONE = [(LLAMACPP, TEST, n, "MIT") for n in (
    "FusionNet", "vigogne", "AlphaMonarch", "Orion", "openchat", "deepseek-coder", "eachadea",
    "Orca-Vicuna", "command-r", "ChatGLM3", "MiniCPM", "Megrez", "Ling-lite", "YandexGPT")] + [
    (TGI, RUST, n, "Apache-2.0")
    for n in ("Deci/", "Smaug", "danube", "falcon-rw", "CodeLlama")] + [
    (TRL, "trl/chat_templates/qwen3_5_nothink.jinja", None, "Apache-2.0"),
    (TRL, "trl/chat_templates/lfm2_2_5.jinja", None, "Apache-2.0"),
    (IK, JINJA + "HuggingFaceTB-SmolLM3-3B.jinja", None, "Apache-2.0"),
    (IK, JINJA + "llama-cpp-deepseek-r1.jinja", None, "MIT"),
    (IK, JINJA + "Qwen-QwQ-32B.jinja", None, "Apache-2.0"),     # changed by that program
    (LLAMACPP, JINJA + "deepseek-ai-DeepSeek-V3.1.jinja", None, "MIT"),
    (LLAMACPP, JINJA + "fireworks-ai-llama-3-firefunction-v2.jinja", None, "MIT"),
    (LLAMACPP, JINJA + "meetkai-functionary-medium-v3.1.jinja", None, "MIT"),
    (IK, JINJA + "unsloth-Apriel-1.5.jinja", None, "MIT")]
