"""What every error code means and what to do: the source of docs/errors.md."""

import sys
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Meaning:
    """One code: its status, what it says, and the way out, in both languages."""

    status: int
    en: str
    zh: str


CODES: dict[str, Meaning] = {
    "already_decided": Meaning(
        409,
        "The finding is decided; name the decision in `review` as `revises` to change it.",
        "该发现已有结论；如需更改，用 `revises` 指明原结论。",
    ),
    "already_read": Meaning(409, "Somebody has read this contact.", "该联系已有人读过。"),
    "approver_too_new": Meaning(
        403, "The approver's key is younger than its wait.", "审批人的密钥尚未满等待期。"
    ),
    "assigned_to_another": Meaning(
        409, "The finding is assigned to another reviewer.", "该发现已指派给其他复核人。"
    ),
    "bad_api_key": Meaning(
        401,
        "The key or session is missing, malformed, unknown, expired, ended or revoked.",
        "密钥或会话缺失、格式错误、未知、过期、已结束或已吊销。",
    ),
    "bad_request": Meaning(400, "The request is broken.", "请求不完整或无法读取。"),
    "bad_signature": Meaning(
        401,
        "The webhook's signature does not hold; sign the bytes as they are sent.",
        "Webhook 签名不符；请对实际发送的字节签名。",
    ),
    "bad_sign_in": Meaning(
        401,
        "Nobody signed in: the address, password or token is wrong, used or over.",
        "登录未成功：邮箱、密码或令牌有误、已使用或已过期。",
    ),
    "claimed_by_another": Meaning(
        409,
        "Another reviewer holds it until `lease_until`; take the next one.",
        "其他复核人正在处理，至 `lease_until`；请先处理下一条。",
    ),
    "clock_not_trusted": Meaning(
        409, "The clock and its witness differ; nothing is purged.", "时钟与见证不一致，暂不清除。"
    ),
    "committed": Meaning(409, "The draw is committed already.", "该抽样已作承诺。"),
    "conflict": Meaning(409, "It contradicts what is stored.", "与已存内容矛盾。"),
    "cross_site": Meaning(
        403,
        "With a session's cookie, changes come from this service's own pages; send `Origin`.",
        "使用会话 Cookie 的修改请求须来自本服务页面；请附 `Origin`。",
    ),
    "digest_mismatch": Meaning(
        422, "The bytes do not have the hash they came under.", "字节与其哈希不符。"
    ),
    "dispute_lapsed": Meaning(
        409, "Nobody judged the dispute in time; the finding stands.", "争议逾期未裁决，发现维持。"
    ),
    "dispute_open": Meaning(
        409, "The finding is disputed: judge the dispute.", "该发现有未决争议，请裁决争议。"
    ),
    "dispute_withdrawn": Meaning(409, "The agency took it back.", "机构已撤回争议。"),
    "disputed_before": Meaning(409, "A finding is disputed once.", "每条发现只能争议一次。"),
    "erasure_refused": Meaning(
        409,
        "Something must still be kept; `detail` says what.",
        "仍有依法须保存的内容，见 `detail`。",
    ),
    "finding_superseded": Meaning(
        409,
        "A later revision of the verdict no longer has the finding.",
        "裁定已修订，不再含该发现。",
    ),
    "forbidden": Meaning(403, "The key is good, but not for this.", "密钥有效，但无此权限。"),
    "grant_not_named": Meaning(
        400,
        "Several grants live; name one in `Hegui-Grant`.",
        "有多项授权，请用 `Hegui-Grant` 指明。",
    ),
    "grant_not_open": Meaning(409, "The grant waits for nothing more.", "该授权已不在待审状态。"),
    "hold_released": Meaning(409, "The hold is released.", "该保全已解除。"),
    "idempotency_conflict": Meaning(
        409,
        "This webhook-id came before with other bytes; use a new id.",
        "同一 webhook-id 曾以不同内容送达；请换新 id。",
    ),
    "interaction_of_other_case": Meaning(
        409, "The interaction belongs to another case.", "该联系属于另一案件。"
    ),
    "internal": Meaning(
        500,
        "Something failed inside; give `x-request-id` to the operator.",
        "内部错误；请将 `x-request-id` 交给运维。",
    ),
    "invalid_input": Meaning(
        422, "The content is malformed; `errors` names the fields.", "内容有误；`errors` 指明字段。"
    ),
    "judgement_final": Meaning(
        409, "The judgement of a dispute is final.", "争议裁决为终局，不可更改。"
    ),
    "key_not_live": Meaning(409, "The key is expired or revoked.", "密钥已过期或吊销。"),
    "key_rotated": Meaning(409, "The key was rotated before.", "该密钥已轮换。"),
    "last_administrator": Meaning(
        409, "It is the last administrator's key.", "这是最后一把管理员密钥。"
    ),
    "lease_lost": Meaning(
        409,
        "You do not hold it, or no more; do what `claim` says and decide again.",
        "您未持有或租约已过；按 `claim` 重新领取后再决定。",
    ),
    "ledger_forked": Meaning(
        500, "The ledger does not grow from what was seen before.", "台账与先前所见不一致。"
    ),
    "length_required": Meaning(411, "Send Content-Length.", "请附 Content-Length。"),
    "limited": Meaning(
        429,
        "Too many requests; come back after `Retry-After`.",
        "请求过多；请按 `Retry-After` 再来。",
    ),
    "master_key": Meaning(
        503, "The master key is not at hand; the operator must act.", "主密钥不可用，需运维处理。"
    ),
    "method_not_allowed": Meaning(405, "The address has no such method.", "该地址无此方法。"),
    "no_live_grant": Meaning(403, "No grant lives for this regulator.", "监管方当前无有效授权。"),
    "no_words": Meaning(
        409,
        "No masked words of the contact make the rule speak; write the near miss by hand.",
        "脱敏后的原话不再触发规则；请手工编写反例。",
    ),
    "no_password": Meaning(
        409, "You sign in at the provider and have no password.", "您经身份提供方登录，没有密码。"
    ),
    "not_committed": Meaning(409, "Nothing is committed to reveal yet.", "尚未作出抽样承诺。"),
    "not_disputable": Meaning(409, "A signal accuses nobody.", "提示不构成指控，无需争议。"),
    "not_found": Meaning(404, "There is no such thing for this caller.", "对该调用方而言不存在。"),
    "not_granted": Meaning(403, "The grant does not cover it.", "授权范围不含此项。"),
    "not_the_debtor": Meaning(409, "The person is not this case's debtor.", "此人并非该案债务人。"),
    "not_upheld": Meaning(
        409, "Only an upheld dispute makes a near miss.", "仅成立的争议可导出反例。"
    ),
    "nothing_to_purge": Meaning(409, "Nothing has reached its date.", "没有到期内容。"),
    "own_decision": Meaning(
        409, "Nobody judges a dispute of an own decision.", "不得裁决针对本人结论的争议。"
    ),
    "own_reading": Meaning(409, "Nobody reads the same twice.", "同一内容不得由同一人重复复核。"),
    "person_exists": Meaning(
        409, "The address is another person's here; change that one.", "该邮箱已属于另一人员。"
    ),
    "purge_not_done": Meaning(409, "The purge is still under way.", "清除尚未完成。"),
    "purge_not_planned": Meaning(409, "The run is not planned any more.", "该批次已不在计划状态。"),
    "purge_other_list": Meaning(
        409, "The list's hash is another; read the list again.", "清单哈希不符；请重新核对清单。"
    ),
    "purge_waits": Meaning(409, "The run's wait is not over.", "等待期未满。"),
    "range_not_satisfiable": Meaning(416, "The range lies outside.", "区间超出范围。"),
    "removed": Meaning(409, "It is removed.", "已被移除。"),
    "request_timeout": Meaning(408, "The body came too slowly.", "请求体传输过慢。"),
    "revealed": Meaning(409, "The draw is revealed already.", "该抽样已揭示。"),
    "same_approver": Meaning(409, "Two different people must approve.", "须由两名不同人员审批。"),
    "second_not_wanted": Meaning(
        409, "No second reading is wanted here.", "此处不需要第二次复核。"
    ),
    "storage_full": Meaning(507, "No room is left for the bytes.", "存储空间不足。"),
    "timestamp_out_of_tolerance": Meaning(
        401, "The webhook's time is over five minutes off.", "Webhook 时间偏差超过五分钟。"
    ),
    "too_large": Meaning(413, "The body is over the limit.", "请求体超限。"),
    "too_many_files": Meaning(409, "The dispute has ten files.", "争议附件已达十份。"),
    "unavailable": Meaning(
        503, "Come back after `Retry-After`.", "暂不可用；请按 `Retry-After` 再来。"
    ),
    "under_retention": Meaning(409, "It must be kept until its date.", "保存期未满。"),
    "unsupported_encoding": Meaning(
        415, "Send the body as it is, uncompressed.", "请勿压缩请求体。"
    ),
    "window_closed": Meaning(
        409, "The working days for a dispute are over.", "争议窗口（工作日）已过。"
    ),
}


def error_page() -> str:
    """The page docs/errors.md."""
    rows = [
        f"| `{code}` | {each.status} | {each.en} | {each.zh} |"
        for code, each in sorted(CODES.items())
    ]
    return "\n".join([*_HEAD, *rows, ""])


_HEAD = (
    "# Errors 错误码",
    "",
    "Every refusal is an RFC 9457 document (`application/problem+json`) with a stable `code`.",
    "`detail` is one sentence with the way out, `errors` names fields; neither names people.",
    "Only 429 and 503 are worth repeating, after `Retry-After`; `hegui.client` does so.",
    "",
    "所有拒绝均为 RFC 9457 文档，`code` 稳定；",
    "`detail` 说明出路，`errors` 指明字段，均不含个人信息。",
    "仅 429 与 503 可按 `Retry-After` 原样重试，`hegui.client` 会自动处理。",
    "",
    "```json",
    '{"type": "urn:hegui:problem:lease_lost", "title": "Conflict", "status": 409,',
    ' "code": "lease_lost", "detail": "You do not hold it, or no more. Claim it (POST …) and …"}',
    "```",
    "",
    "Made from `service/error_codes.py`:",
    "`.venv/bin/python -m service.error_codes > docs/errors.md`.",
    "",
    "| code | status | what it says | 含义 |",
    "|---|---|---|---|",
)

if __name__ == "__main__":
    sys.stdout.write(error_page())
