"""Lists usual names of columns by role, the most specific first; lower case, ``_`` between words."""

from __future__ import annotations

# Names of one tier are equally good: if a table has two of them, both plausible by content, the user has to decide.
TEXT = (
    ("text", "sentence", "message", "review", "tweet", "content", "comment", "utterance", "test_case", "claim", "document"),
    ("review_text", "review_body", "comment_text", "full_text", "text_a", "sentence1", "sentence_1", "post", "body", "news"),
    ("article", "passage", "paragraph", "statement", "excerpt", "snippet", "feedback", "complaint", "ticket", "transcript"),
    ("question", "query", "input", "prompt", "request", "abstract", "description", "summary", "headline", "title", "subject"),
)
PAIRS = (
    ("premise", "hypothesis"),
    ("sentence1", "sentence2"),
    ("sentence_1", "sentence_2"),
    ("question1", "question2"),
    ("question_1", "question_2"),
    ("text1", "text2"),
    ("text_1", "text_2"),
    ("text_a", "text_b"),
    ("sentence_a", "sentence_b"),
    ("s1", "s2"),
    ("question", "sentence"),
    ("question", "passage"),
    ("query", "passage"),
    ("query", "document"),
    ("claim", "evidence"),
    ("text", "pair"),
    ("text", "text_pair"),
    ("text", "text2"),
    ("text", "text_2"),
)
LABEL = (
    ("label", "labels", "gold_label", "label_gold"),
    ("class", "category", "intent", "target", "sentiment", "topic", "emotion", "is_duplicate", "polarity", "stance"),
    ("y", "gold", "annotation", "classification", "classes", "categories", "intents", "topics", "emotions", "tag", "tags"),
    ("score", "rating", "stars", "similarity", "similarity_score"),
    ("label_text", "label_name"),
)
SCORE = (
    ("score", "similarity", "similarity_score", "relatedness", "relatedness_score"),
    ("rating", "stars", "label", "labels", "target", "gold", "y", "value", "gold_label"),
)
ID = (
    "id", "guid", "uid", "uuid", "example_id", "row_id", "pair_id", "pairid", "tweet_id", "case_id", "review_id", "message_id",
    "comment_id", "text_id", "sentence_id", "ticket_id", "qid", "idx", "index",
)  # fmt: skip
GROUP = (
    "group", "group_id", "user_id", "author_id", "customer_id", "patient_id", "conversation_id", "thread_id", "session_id",
    "document_id", "doc_id", "template_id", "templ_id",
)  # fmt: skip
SPLIT = ("split", "partition", "subset", "set", "fold")

# Words in a split column and names of files in a folder -> split.
SPLIT_WORDS = {
    "train": "train", "training": "train",
    "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation", "development": "validation",
    "eval": "validation",
    "test": "test", "testing": "test", "holdout": "test",
}  # fmt: skip

USUAL_NAMES = frozenset(
    [name for tiers in (TEXT, PAIRS, LABEL, SCORE) for tier in tiers for name in tier] + [*ID, *GROUP, *SPLIT]
)


def plain_name(name: str) -> str:
    """Writes a column name as the tables above do: lower case, ``_`` for spaces and hyphens."""
    return name.strip().casefold().replace(" ", "_").replace("-", "_")
