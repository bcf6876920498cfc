"""Ordinary collection talk, against which the words of patterns are weighed: rare ones trigger."""

from collections import Counter
from functools import cache

from rules.normalise import plain
from rules.phonetic import encode

TALK = """
您好请问是王先生本人吗我这边是消费金融公司委托的服务机构工号三零一二本次通话全程录音
您有一笔贷款本期应还一万二千三百元已经逾期两个多月了想跟您了解一下现在的情况看您这边打算什么时候处理
我们理解您的难处如果手头紧可以先还一部分剩下的帮您申请延期或者分期审批结果短信通知您
请您登录手机银行或者官方应用进行还款也可以到网点柜台办理有问题打客服电话咨询
好的我给您登记一下下个月十五号发工资以后处理到时候我再跟您确认
麻烦您核对一下身份证后四位另外您预留的通讯地址和单位有没有变化
不好意思打扰您了请您方便的时候转告他给我们回个电话涉及个人的事情不方便透露
您放心我们只跟您本人联系不会联系您的家人朋友和同事也不会透露您的任何信息
利息和违约金都是按合同约定计算的没有别的费用明细在账单里面都能看到
如果一直没有还款逾期记录会按规定报送征信具体以征信机构的记录为准
协商不下来的话我们可能会依法向人民法院提起诉讼这个是正常的法律程序
您要是觉得我们的服务有什么问题可以拨打客服热线或者向监管部门反映我也可以帮您登记投诉
今天方便还吗能还多少您这边有什么困难吗家里还好吧最近工作怎么样
我知道了谢谢您配合祝您生活愉快再见我先不打扰您休息了回头再联系
是我你说什么事你们是哪里的我现在在上班没空晚点再打给我行不行
我真的没钱孩子上学老人住院公司又欠我工资我也不想拖着不还你再给我几天时间
我上个月刚还了一部分怎么又要还这么多你给我算算这个利息是怎么来的
能不能给我分期一个月还一千可以吗我下周发了工资第一时间转过去
你们别给我家里人打电话好吗我老婆不知道这个事情有事直接找我
行行行我知道了我想办法月底之前肯定还上你把还款的方式再发我一下
他不在家你找他干什么我不知道他的事情你打他手机吧我们很久没有联系了
系统显示您的账户昨天已经入账本期结清了后面不会再给您打电话
您说的情况我都记下来了会如实向上反映稍后会有专员跟您联系请保持电话畅通
担保人按照保证合同是有责任的您可以先代为偿还也可以等他本人处理
还款的时候请认准官方渠道不要转给任何个人谨防诈骗
"""


@cache
def _counts() -> tuple[Counter[str], Counter[str], int]:
    """How often runs of one to four syllables, and single characters, occur in ordinary talk."""
    lines = [plain(line) for line in TALK.strip().splitlines()]
    sounds: Counter[str] = Counter()
    for line in map(encode, lines):
        for size in range(1, 5):
            sounds.update(line[i : i + size] for i in range(len(line) - size + 1))
    characters = Counter("".join(lines))
    return sounds, characters, sum(characters.values())


@cache
def _chances() -> dict[str, float]:
    """How likely each syllable is at a place of ordinary talk; filled as syllables are asked."""
    return {}


def commonness(word: str) -> float:
    """About how often a word is heard in a thousand characters of ordinary talk, by its sound."""
    sounds, characters, total = _counts()
    if len(word) == 1:
        return 1000 * (characters[word] + 0.2) / total
    code, chances = encode(word), _chances()
    by_chance = float(total)
    for syllable in code:
        chance = chances.get(syllable)
        if chance is None:
            chance = chances[syllable] = (sounds[syllable] + 0.5) / total
        by_chance *= chance
    return 1000 * (sounds.get(code[:4], 0) + min(by_chance, 2.0) + 0.02) / total


@cache
def rarest() -> float:
    """The least that any word is common."""
    return 1000 * 0.02 / _counts()[2]
