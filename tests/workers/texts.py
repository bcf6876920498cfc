"""Messages whose verdict is plain, for tests that are about the road and not about the rules."""

LAWFUL = (
    "【示例银行】您尾号4471的信用卡账单人民币1200.50元已逾期，"
    "请通过示例银行APP还款，咨询请拨打客服热线95500。"
)
