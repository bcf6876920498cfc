"""Finds names, addresses, e-mail and chat accounts and number plates in a text."""

import re
from collections.abc import Collection, Iterator

import rjieba

from rules.phonetic import encode
from service.privacy.personal_model import Kind, Personal

_HAN = "\u3400-\u4dbf\u4e00-\u9fff"
_SINGLE = (
    "赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨朱秦尤许何吕张孔曹严华金魏陶姜戚谢邹喻柏窦章苏潘葛奚范彭郎鲁韦"
    "马苗花方俞任袁柳唐费廉岑薛雷贺倪汤滕殷罗毕郝邬安常乐于傅卞齐康伍余元顾孟黄穆萧尹姚邵汪祁毛禹"
    "狄贝臧计伏戴谈宋茅庞熊纪舒屈项祝董梁杜阮蓝闵席季麻贾路娄危江童颜郭梅盛林刁钟徐邱骆高夏蔡田樊"
    "胡凌霍虞万柯管卢莫房裘解应宗丁宣邓郁单杭洪包诸左石崔吉龚程邢裴陆荣翁荀甄曲封储靳焦牧谷车侯"
    "班秋仲伊宫宁仇栾甘厉武符刘景詹龙叶司黎白蒲赖卓蔺屠蒙池乔谭申冉桑桂牛边尚农温庄晏柴瞿阎习艾"
    "容向古易戈廖居耿满匡文寇广欧沃利师巩聂晁冷辛简饶曾关游肖闫覃佟"
)
_DOUBLE = (
    "欧阳|司马|上官|诸葛|东方|皇甫|尉迟|公孙|令狐|慕容|司徒|端木|夏侯|轩辕|长孙|宇文|南宫|独孤|百里|呼延|西门|"
    "澹台|闻人|赫连|申屠|太史|钟离|鲜于|闾丘|东郭|公冶|宗政|濮阳|淳于|单于"
)
# Surnames that are everyday words too: they name nobody by a title alone.
_EVERYDAY = (
    "于方向应元边万广利师高安常计解单关车江文华农满花温冷简古易乐白管任包余路席黄金曲申封司班祝师应"
)
_SURNAME = f"(?:{_DOUBLE}|[{_SINGLE}])"
# What sounds like a name and is none: 老师, 老赖 (a word that rules look for), 孙子.
_NO_FAMILIAR = "师赖江车边司成"
_NO_NAMES = frozenset(
    {"孙子", "关怀", "封信", "金贵", "祝福", "祝愿", "和平", "方正", "方圆", "高兴"}
)
# Characters that given names are made of.
_GIVEN = (
    "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉兰红梅建国志文斌辉鹏飞浩宇轩子涵梓雨欣怡佳琪琳"
    "慧颖婷雪莹璐瑶瑞凯旋龙峰林森海波江河山川岩松柏竹菊莲荷花春夏秋冬晨曦晓阳光亮月星辰云霄天昊宸"
    "泽润溪源清洁淑贤惠珍珠宝金银铜铁钢锋锐铭鑫钰钧银德仁义礼智信忠孝廉诚实恒毅坚永康健安宁和祥福禄"
    "寿喜庆吉利贵荣昌盛兴旺富学博达才俊彦哲思远志成功立业家邦民生友善良美媛嫣妍妮娇婉娴姗姝婧倩茜萍"
    "蓉菲蕾薇芸芬芝苗苏茹荣萱蓝莉莎丹彤虹绮绢绣纯素绍维绪继承嗣宗祖耀辉煌炜烨焕熙燕鸿鹤凤凰鸣翔翼"
    "羽翠彩凌冰霜露雯霖震雷霆电洪涌淼澜瀚沛泉湘沁洛滨潇汉沪津渝晋鲁豫皓皎盈然依恋悦愉怀念慈爱勤"
    "勉奋振进步前程万里千秋世代传嘉奇异卓越超群豪迈雄武威猛壮彪虎豹骏骥驰骋腾跃中正方圆长久启迪新鲜"
    "桐楠柳桃李杏梨樱枫榕桦栋梁材朴楚乔木柯树根本元亨贞坤乾艺乐歌舞诗词书画琴棋韵音律可心意情怜惜"
    "巧灵聪颖敏捷睿儒雅文章翰墨香芷若兮予希望一二三小大少年青鸟景曙旭昕昱晟昭晖暖阿宛"
)
_TITLE = (
    "先生|女士|小姐|太太|夫人|阿姨|叔叔|伯伯|大爷|大妈|大姐|大哥|师傅|老师|经理|主任|律师|警官|同志|总监|主管|"
    "专员|科长|处长|局长|书记|医生|老板"
)
_ANY_GIVEN, _SURE_GIVEN = f"[{_HAN}]", f"[{_GIVEN}]"
_TITLED = re.compile(rf"(?P<name>{_SURNAME}{_SURE_GIVEN}{{0,2}}?)(?=(?:{_TITLE}))")
_BEFORE = "问找是叫跟姓给对请的"
_CALLED = re.compile(
    rf"(?:(?<![{_HAN}])|(?<=[{_BEFORE}]))(?P<name>[{_SINGLE}])"
    rf"(?=(?:总|哥|姐|工|队)(?:[^{_HAN}]|[你您我在好吗吧啊呢说]|$))"
)
_FAMILIAR = re.compile(
    rf"(?:(?<![{_HAN}])|(?<=[{_BEFORE}]))[小老阿](?P<name>(?![{_NO_FAMILIAR}])[{_SINGLE}])"
    rf"(?=[^{_HAN}]|[你您我在好吗吧啊呢说]|$)"
)
# After these words a name is certain, whatever its characters.
_INTRODUCED = re.compile(
    r"(?:我叫|名叫|叫做|名字[叫是]|姓名(?:[是为:]|\s)?|户主|机主|持卡人|紧急联系人)(?:[是叫:]|\s)?"
    rf"(?P<name>{_SURNAME}{_ANY_GIVEN}{{1,2}}?)"
    rf"(?=[^{_HAN}]|$|[是的吗呢啊吧在来住跟给，]|女士|先生|小姐|本人)"
)
_ASKED = re.compile(
    rf"(?:[问您你就]是|我是|找一?下?|叫|联系一?下?|转告|转达|通知)"
    rf"(?P<name>{_SURNAME}{_SURE_GIVEN}{{1,2}}?)(?=[^{_HAN}]|$|[吗吧么不呢啊的]|本人)"
)
_TAGGED = re.compile(rf"(?:{_SURNAME}{_SURE_GIVEN}{{1,2}})")
_CLAUSE = re.compile(rf"[{_HAN}A-Za-z0-9]+")

_EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,64}[ \u200b]?@[ \u200b]?"
    r"[A-Za-z0-9-]{1,63}(?:[.。][A-Za-z0-9-]{1,63}){1,8}"
)
_CHAT = re.compile(
    r"(?i:微信|威信|薇信|v信|[vw]x|qq|扣扣|企鹅|支付宝|抖音|陌陌|telegram|whatsapp)"
    r"(?:账号|帐号|账户|号码|号|id)?[^A-Za-z0-9。！？\n]{0,6}(?P<name>[A-Za-z][A-Za-z0-9_.-]{4,29})"
)
_PLATE = re.compile(
    "[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼使领][A-Za-z][·•. \u200b]?"
    "(?=[A-Za-z]{0,4}[0-9])[A-Za-z0-9]{5,6}(?![A-Za-z0-9])"
)

# The name of a place holds none of these everyday characters.
_H = f"(?![在住到去是我你您他她们的了吗呢把给来请寄送往找有就都也])[{_HAN}]"
_LEVEL = (
    rf"(?>(?:{_H}){{1,7}}?"
    "(?:省|自治区|自治州|特区|新区|开发区|市|区|县|旗|镇|乡|街道|村|屯))"
)
_ROAD = (
    rf"(?>(?:{_H}){{1,8}}?"
    "(?:大道|大街|胡同|(?<![套思一网出门线退走半铁公道马])路|(?<![逛上])街|巷|弄))"
)
_ESTATE = (
    rf"(?>(?:{_H}|[0-9A-Za-z]){{1,10}}?(?:小区|花园|花苑|家园|公寓|大厦|广场|新村|新城|社区|名苑|华庭|"
    "雅苑|山庄|别墅|宿舍|大院|庄园|公馆))"
)
_NUMBER = "[0-9A-Za-z一二三四五六七八九十百零〇甲乙丙丁幺洞-]{1,8}"
_BUILDING = f"{_NUMBER}(?:号楼|栋|幢|座|单元)"
_HOUSE = f"(?:{_NUMBER}(?:号楼|号院|号|栋|幢|座|单元|层|楼|室|房|弄|组|户)[ ,，、\u200b]?)"
_ADDRESS = re.compile(
    rf"(?:家庭|户籍|单位|公司|收货|通讯|现)?(?:地址|住址|住所|老家)?[:：]?(?P<place>"
    rf"{_LEVEL}{{0,5}}(?:(?:{_ROAD}|{_ESTATE}){{1,3}}[ ,，、]?{_HOUSE}{{1,6}}(?:{_NUMBER})?)"
    rf"|{_LEVEL}{{1,5}}(?:{_ROAD}|{_ESTATE}|(?:{_H}){{1,6}}(?:村|屯)(?:{_HOUSE}{{1,4}})?)"
    rf"|{_LEVEL}{{1,5}}{_HOUSE}{{1,6}}"
    rf"|{_BUILDING}[ ,，、]?(?:{_HOUSE}{{1,6}}(?:{_NUMBER})?|[0-9]{{2,5}}))"
)
_PLACES = re.compile(
    "[路街巷弄镇乡村屯栋幢座]|大道|胡同|小区|单元|号楼|花[园苑]|家园|公寓|大厦|广场"
)
_SENTENCE = re.compile(r"[^。！？!?；;\n\x1f]+")
_LEAST_KNOWN, _LEAST_HEARD = 2, 3


def find_known(text: str, known: Collection[str]) -> Iterator[Personal]:
    """The given names: as written, with marks between, and (from three characters) by sound."""
    names = {name.strip() for name in known}
    names = {name for name in names if len(name) >= _LEAST_KNOWN and not _is_number(name)}
    if not names:
        return
    between = r"[\s\u200b·•.\-]{0,2}"
    parts = [between.join(map(re.escape, name)) for name in sorted(names, key=len, reverse=True)]
    for found in re.compile("|".join(parts), re.IGNORECASE).finditer(text):
        yield Personal(found.start(), found.end(), Kind.NAME)
    heard = {
        name for name in names if len(name) >= _LEAST_HEARD and re.fullmatch(f"[{_HAN}]+", name)
    }
    if heard:
        codes = _sounds(text)
        for name in heard:
            for found in re.finditer(re.escape(_sounds(name)), codes):
                yield Personal(found.start(), found.end(), Kind.NAME)


def _is_number(name: str) -> bool:
    return name.removeprefix("+").isdigit()


def _sounds(text: str) -> str:
    """One syllable code for each character; one beyond the basic plane sounds like nothing."""
    return encode("".join(char if char <= "\uffff" else "?" for char in text))


def find_names(text: str) -> Iterator[Personal]:
    """Names by the words around them (a title, an introduction) or by how they are made."""
    for pattern in (_TITLED, _CALLED, _FAMILIAR, _INTRODUCED, _ASKED):
        for found in pattern.finditer(text):
            if pattern is not _TITLED or _names_somebody(text, found):
                yield Personal(*found.span("name"), Kind.NAME)
    for clause in _CLAUSE.finditer(text):
        yield from _tagged(clause[0], clause.start())


def _names_somebody(text: str, found: re.Match[str]) -> bool:
    """Whether a surname before a title is one: some are everyday words, too."""
    if found["name"] not in _EVERYDAY:
        return True
    before = text[found.start() - 1 : found.start()]
    return before in _BEFORE or not "\u3400" <= before <= "\u9fff"


def _tagged(clause: str, at: int) -> Iterator[Personal]:
    for word, tag in rjieba.tag(clause):
        if tag.startswith("nr") and _TAGGED.fullmatch(word) and word not in _NO_NAMES:
            yield Personal(at, at + len(word), Kind.NAME)
        at += len(word)


def find_places(text: str) -> Iterator[Personal]:
    """Addresses down to a road, an estate, a village or a building."""
    for sentence in _SENTENCE.finditer(text):
        if _PLACES.search(sentence[0]):
            for found in _ADDRESS.finditer(text, *sentence.span()):
                yield Personal(*found.span("place"), Kind.ADDRESS)


def find_signs(text: str) -> Iterator[Personal]:
    """E-mail addresses, names of chat and payment accounts, number plates."""
    for found in _EMAIL.finditer(text):
        yield Personal(found.start(), found.end(), Kind.EMAIL)
    for found in _CHAT.finditer(text):
        yield Personal(*found.span("name"), Kind.ACCOUNT)
    for found in _PLATE.finditer(text):
        yield Personal(found.start(), found.end(), Kind.PLATE)
