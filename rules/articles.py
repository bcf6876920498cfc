"""Read the table of citations, and what rules cite from it."""

import re

from rules.citation import UNKNOWN
from rules.draft import Draft, day_of, only, title_of
from rules.events import LenderType, Product
from rules.rule import Article, Binding
from rules.sheet import Value

_ARTICLE_KEYS = {
    "id",
    "instrument",
    "article",
    "text",
    "label",
    "source",
    "effective_from",
    "effective_to",
    "published_as",
    "basis",
    "note",
    "binds",
}
_BOUND = {
    "product": {UNKNOWN, *(product.value for product in Product)},
    "lender_type": {UNKNOWN, *(lender.value for lender in LenderType)},
}


def read_articles(sheet: Value, draft: Draft) -> None:
    """Read `articles.yaml` into the draft."""
    table = sheet.data.get("articles")
    for value in table.items() if table else ():
        if not isinstance(value.data, dict):
            draft.problems.append(value.problem("an article must be a mapping"))
            continue
        only(value, _ARTICLE_KEYS, draft)
        data = value.plain()
        missing = [
            key
            for key in ("id", "instrument", "article", "text", "label", "source")
            if not data.get(key)
        ]
        if missing:
            draft.problems.append(value.problem(f"{', '.join(missing)} missing"))
            continue
        label = str(data["label"])
        if not re.fullmatch(r"policy|[VTSQU](\+[VTSQU])*", label):
            draft.problems.append(
                value.data["label"].problem("label must be policy, or V, T, S, Q, U joined with +")
            )
        if data["id"] in draft.articles:
            draft.problems.append(value.problem(f"article {data['id']!r} appears twice"))
        published = data.get("published_as")
        draft.articles[str(data["id"])] = Article(
            str(data["id"]),
            title_of(value, "instrument", draft),
            str(data["article"]),
            str(data["text"]),
            label,
            str(data["source"]),
            day_of(value.data.get("effective_from"), draft),
            day_of(value.data.get("effective_to"), draft),
            None if published is None else str(published),
            _bindings(value.data.get("binds"), draft),
        )


def _bindings(value: Value | None, draft: Draft) -> tuple[Binding, ...]:
    """Whom an article binds: products, kinds of lenders, or one kind's product."""
    found = []
    for member in value.items() if value is not None and value.data else ():
        if not isinstance(member.data, dict) or not member.data:
            draft.problems.append(member.problem("must name a product, a lender_type or both"))
            continue
        only(member, set(_BOUND), draft)
        data = {str(key): str(part.data) for key, part in member.data.items()}
        for key, known in _BOUND.items():
            if key in data and data[key] not in known:
                message = f"{key} must be one of: {', '.join(sorted(known))}"
                draft.problems.append(member.data[key].problem(message))
        found.append(Binding(data.get("product"), data.get("lender_type")))
    return tuple(found)


def citations(value: Value, draft: Draft) -> tuple[str, ...]:
    """The ids that a rule cites; one that is unknown or only recalled (U) is a problem."""
    found = []
    for member in value.items():
        article = draft.articles.get(str(member.data))
        if article is None:
            draft.problems.append(member.problem(f"no article is called {member.data!r}"))
        elif set(article.label) <= {"U", "+"}:
            draft.problems.append(
                member.problem(f"article {member.data!r} is not verified (U) and cannot be cited")
            )
        found.append(str(member.data))
    if not found:
        draft.problems.append(value.problem("a rule cites at least one article"))
    return tuple(found)
