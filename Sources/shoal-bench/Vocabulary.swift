/// The words of which synthetic customers, tags and notes are made.
enum Vocabulary {
    static let tagCount = 300

    static let surnames = letters("赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨朱秦尤许何吕施张孔曹严华金魏陶姜")
    static let given = letters("安宁若初语晨星河清和知远书画青禾沐阳思齐婉仪景行子衿慕白晓棠令仪南乔疏影半夏松风听雪望舒")
    static let memberGroups = ["金卡会员", "银卡会员", "体验装群", "早鸟群", "宝妈群", "学生群", "复购群", "到店群"]
    static let sources = ["包裹卡", "直播间", "短视频", "朋友介绍", "门店扫码", "客服引导", "搜索手机号", "公众号", "社群分享", "活动海报"]
    static let skins = ["干皮", "油皮", "混干", "混油", "敏感", "中性"]
    static let groups = [
        "肤质", "生日月份", "皮肤问题", "职业", "年龄段", "来源", "消费力", "购买频次", "兴趣", "互动", "售后", "城市", "价格带", "活动", "阶段",
    ]
    static let degrees = [
        "一", "二", "三", "四", "五", "六", "七", "八", "九", "十", "高", "低", "新", "老", "常", "偶", "曾", "疑似", "已", "待",
    ]
    static let phrases = [
        "皮肤偏干", "换季容易泛红", "想要补水", "问了成分", "对香精过敏", "已寄试用装", "等活动再买", "上次买的快用完了", "给妈妈带一套", "孩子刚上学",
        "早上不方便接电话", "晚上九点后回复", "喜欢清爽的", "嫌价格高", "朋友推荐来的", "要开发票", "地址换了", "退过一次货", "很好说话", "先加群看看",
        "答应月底下单", "想减肥", "备孕中", "爱晒单", "要求顺丰", "问过祛痘", "用过同类产品", "担心假货", "已解释真伪查询", "转给售后",
    ]
    static let common = letters(
        "的一是不了在人有我他这中大来上个国到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可她里后小么心多天而能好都然没日于起还发成事只作当想看文无开手用主行方又如前所本见经头面公同三已老从动两长"
    )
    static let lower = letters("abcdefghijklmnopqrstuvwxyz0123456789")
    static let base64 = letters("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")

    private static func letters(_ text: String) -> [String] { text.map { String($0) } }
}
