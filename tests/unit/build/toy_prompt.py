"""A toy prompt layout, and the texts that toy tokenizers are trained on."""

from intently_build.prompt import PromptLayout

LAYOUT = PromptLayout(
    prefix="<|im_start|>what does the user want?<|im_end|>\n",
    utterance_open="<|utterance|>",
    suffix="<|im_end|><|intent|>",
    user_open="<|im_start|>user\n",
    user_close="<|im_end|>\n",
    assistant_open="<|im_start|>assistant\n",
    assistant_close="<|im_end|>\n",
)
TEXTS = ["what is the weather in paris", "set a timer for ten minutes", "明天早上七点叫我起床", "wake me at seven"]
