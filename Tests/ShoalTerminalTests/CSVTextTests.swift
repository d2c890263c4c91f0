import Testing

@testable import ShoalTerminal

@Suite struct CSVTextTests {
    @Test(arguments: [
        "=1+1", "+1", "-1", "@SUM(A1)", "＝1", "＋1", "－1", "＠a", "﹦1", "  =1", "\u{3000}=1", "\"=1", "'=1", " '\" =1",
        "\t=1", "\r=1", "\n=1",
        "\tx", "\rx", "'x", "''",
    ])
    func aFormulaIsMarkedAndTheMarkCanBeTakenAway(_ text: String) {
        let field = CSVText.field(text)
        #expect(field.unicodeScalars.first == CSVText.mark)
        #expect(String(field.dropFirst()) == TerminalText.line(text))
    }

    @Test(arguments: [
        ("a;=1;b", "a;'=1;b"), ("a; \"＝1", "a;' \"＝1"), ("=1;@x", "'=1;'@x"), ("a;b;", "a;b;"), ("a;1=1", "a;1=1"),
    ])
    func aFormulaBehindASemicolonIsMarkedToo(_ text: String, _ field: String) { #expect(CSVText.field(text) == field) }

    @Test(arguments: ["", "1", "王小明", "a=b", "13800000000", "a'b", "1-2", "x@y.z"])
    func otherTextIsNot(_ text: String) { #expect(CSVText.field(text) == text) }

    @Test func aRecordIsOneLineWhateverItHolds() {
        let record = String(
            decoding: CSVText.record(["a\"b", "c,d", "e\r\nf", "\u{1B}]0;x\u{7}", "=\"1\""]), as: UTF8.self)
        #expect(record == "\"a\"\"b\",\"c,d\",\"e␍␊f\",\"␛]0;x␇\",\"'=\"\"1\"\"\"\r\n")
    }
}

@Suite struct LogTextTests {
    @Test(arguments: ["a", "0D4K-x", "/v1/sync", "王小明"])
    func whatNobodyCanMistakeStaysAsItIs(_ text: String) { #expect(LogText.value(text) == text) }

    @Test(arguments: [
        ("", "\"\""), ("a b", "\"a b\""), ("a=b", "\"a=b\""), ("a\nlevel=error", "\"a\\u{a}level=error\""),
        ("\u{9B}2J", "\"\\u{9b}2J\""), ("a\u{202E}b", "\"a\\u{202e}b\""), ("a\\b\"", "\"a\\\\b\\\"\""),
        ("a\u{2028}b", "\"a\\u{2028}b\""),
        ("a\u{3000}b", "\"a\u{3000}b\""),
    ])
    func everythingElseIsOneQuotedValue(_ text: String, _ value: String) { #expect(LogText.value(text) == value) }
}
