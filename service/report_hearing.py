"""How the calls of a report were heard: by which engines, how well, and what was odd about them."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, cast
from uuid import UUID

from sqlalchemy.orm import defer
from sqlmodel import Session, col, select

from service.models import TranscriptRow

FLAGS: Mapping[str, tuple[str, str]] = {
    "truncated": ("录音比文件头所写的短", "shorter than its own header says"),
    "wrong_length": ("录音长度与所报不符", "not as long as was announced"),
    "damaged": ("部分数据无法解码", "parts could not be decoded"),
    "clipped": ("音量过载失真", "distorted by too high a level"),
    "extra_streams": ("另有音轨未收听", "holds further streams that were not heard"),
    "noisy": ("噪声大，已先降噪再识别", "noisy; steady noise was taken out before hearing"),
    "silent": ("全程无声", "silent from end to end"),
    "silent_channel": ("有一个声道无声", "one channel is silent"),
    "no_speech": ("没有听到说话", "no speech was found"),
    "uneven_channels": (
        "声道数与所报说话人数不符",
        "channels and announced speakers differ in number",
    ),
    "dual_mono": ("两个声道相同，按单声道处理", "both channels are the same; taken as mono"),
    "mono_turns": (
        "单声道，说话人按声音和用语区分",
        "mono; speakers told apart by voice and words",
    ),
    "swapped_channels": (
        "声道对调，已按说话内容更正",
        "channels swapped; put right by what was said",
    ),
    "many_voices": ("单声道中不止两人说话", "more than two voices on one channel"),
    "uncertain_roles": ("说话人不确定，只供复核", "who speaks is uncertain; for review only"),
}

# A report counts; what was said is many times as much, and none of it is read here.
_NO_TEXTS = defer(cast("Any", TranscriptRow.segments)), defer(cast("Any", TranscriptRow.words))


def hearing_of(session: Session, interactions: Mapping[UUID, str]) -> dict[str, Any]:
    """What the speech side did for these interactions; values are the ids that a report shows."""
    rows = session.exec(
        select(TranscriptRow)
        .where(col(TranscriptRow.interaction_id).in_(interactions))
        .order_by(col(TranscriptRow.interaction_id))
        .options(*_NO_TEXTS)
    ).all()
    engines = Counter((row.engine, row.model_digest) for row in rows)
    flagged: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        for flag in row.flags:
            flagged[flag].append(interactions[row.interaction_id])
    return {
        "recordings": len(rows),
        "engines": [
            {"engine": engine, "model_digest": digest, "recordings": count}
            for (engine, digest), count in sorted(engines.items())
        ],
        "untrusted_share": _mean_share(
            [(row.decoded_seconds or 0.0, row.untrusted_share) for row in rows]
        ),
        "flags": [_flag(flag, flagged[flag]) for flag in sorted(flagged, key=_order)],
    }


def _mean_share(parts: Sequence[tuple[float, float]]) -> float:
    """The untrusted share over all recordings, each with the weight of its seconds."""
    seconds = sum(length for length, _ in parts)
    return round(sum(length * share for length, share in parts) / seconds, 4) if seconds else 0.0


def _order(flag: str) -> tuple[int, str]:
    known = list(FLAGS)
    return (known.index(flag) if flag in FLAGS else len(known), flag)


def _flag(flag: str, names: list[str]) -> dict[str, Any]:
    chinese, english = FLAGS.get(flag, (flag, flag))
    return {
        "flag": flag,
        "zh": chinese,
        "en": english,
        "count": len(names),
        "interactions": sorted(names),
    }
