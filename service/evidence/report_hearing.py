"""How the calls of a report were heard: by which engines, how well, and what was odd about them."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import text
from sqlmodel import Session

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

_HEARD = text(
    "select i.interaction_id, t.engine, t.model_digest, t.decoded_seconds, t.untrusted_share,"
    " t.flags from interaction as i join transcript as t on t.tenant_id = i.tenant_id"
    " and t.interaction_id = i.id where i.started_at >= :since and i.started_at < :until"
    " and (cast(:agency as uuid) is null or i.agency_id = :agency) order by i.id"
)
_PAGE = 1_000


def hearing_of(session: Session, scope: Mapping[str, Any]) -> dict[str, Any]:
    """What the speech side did for the contacts of a report's scope."""
    engines: Counter[tuple[str, str]] = Counter()
    flagged: dict[str, list[str]] = defaultdict(list)
    shares = []
    found = session.connection().execute(_HEARD, scope, execution_options={"yield_per": _PAGE})
    for name, engine, model_digest, seconds, share, flags in found:
        engines[engine, model_digest] += 1
        shares.append((seconds or 0.0, share))
        for flag in flags:
            flagged[flag].append(name)
    return {
        "recordings": engines.total(),
        "engines": [
            {"engine": engine, "model_digest": digest, "recordings": count}
            for (engine, digest), count in sorted(engines.items())
        ],
        "untrusted_share": _mean_share(shares),
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
