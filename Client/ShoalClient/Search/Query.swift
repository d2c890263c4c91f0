/// The query language of lists and searches: terms that must all hold.
struct Query: Equatable {
    enum Comparison: String, CaseIterable { case atLeast = ">=", atMost = "<=", above = ">", below = "<", equal = "=" }

    enum Term: Equatable {
        case word(String)
        case tag(String, isWanted: Bool)
        case birthMonth(String)
        case source(String)
        case stage(String)
        case account(String)
        /// Milliseconds since 1970, from the beginning of a day to before the next one's, UTC.
        case added(Comparison, Range<Int64>)
    }

    var terms: [Term]

    init(_ text: String) throws {
        terms = []
        for token in try Self.tokens(text) {
            if token.isQuoted {
                terms.append(.word(token.text))
                continue
            }
            terms.append(try Self.term(token.text, in: text))
        }
    }

    var words: [String] {
        terms.compactMap { if case .word(let word) = $0 { word } else { nil } }
    }

    private struct Token {
        var text: String
        /// Begins with a quote, so that it is a word whatever it looks like.
        var isQuoted: Bool
    }

    /// Splits at white space; double quotes keep it, also after a colon.
    private static func tokens(_ text: String) throws -> [Token] {
        var tokens: [Token] = []
        var current = String.UnicodeScalarView()
        var isOpen = false
        var isQuoted = false
        for scalar in text.unicodeScalars {
            if scalar == "\"" {
                if !isOpen, current.isEmpty { isQuoted = true }
                isOpen.toggle()
            } else if scalar.properties.isWhitespace, !isOpen {
                if !current.isEmpty { tokens.append(Token(text: String(current), isQuoted: isQuoted)) }
                current = String.UnicodeScalarView()
                isQuoted = false
            } else {
                current.append(scalar)
            }
        }
        if isOpen { throw ReplicaError.invalidQuery(text, reason: "a quote is not closed") }
        if !current.isEmpty { tokens.append(Token(text: String(current), isQuoted: isQuoted)) }
        return tokens
    }

    private static func term(_ token: String, in query: String) throws -> Term {
        guard let colon = token.firstIndex(where: { $0 == ":" || $0 == "：" }) else { return .word(token) }
        let name = token[..<colon]
        let value = String(token[token.index(after: colon)...])
        let term: Term
        switch name {
        case "tag": term = .tag(value, isWanted: true)
        case "-tag": term = .tag(value, isWanted: false)
        case "birth": term = .birthMonth(value)
        case "source": term = .source(value)
        case "stage": term = .stage(value)
        case "account": term = .account(value)
        case "added": term = try added(value, in: query)
        default:
            // A mistyped term must not search for itself in silence.
            let letters = name.hasPrefix("-") ? name.dropFirst() : name
            guard !letters.isEmpty, letters.utf8.allSatisfy({ $0 | 0x20 >= 0x61 && $0 | 0x20 <= 0x7A }) else {
                return .word(token)
            }
            let known = "tag: -tag: birth: source: stage: account: added:"
            throw ReplicaError.invalidQuery(
                query, reason: "there is no \(name): among the terms \(known); text with a colon goes in double quotes")
        }
        if value.isEmpty { throw ReplicaError.invalidQuery(query, reason: "nothing stands after \(name):") }
        return term
    }

    private static func added(_ value: String, in query: String) throws -> Term {
        // The longer signs come first.
        let comparison = Comparison.allCases.first { value.hasPrefix($0.rawValue) }
        let date = value.dropFirst(comparison?.rawValue.count ?? 0)
        guard let day = CivilDate.milliseconds(date) else {
            throw ReplicaError.invalidQuery(query, reason: "\"\(date)\" is not a date like 2026-01-31")
        }
        return .added(comparison ?? .equal, day..<day + CivilDate.day)
    }
}

extension Query.Comparison {
    func holds(_ time: Int64, _ day: Range<Int64>) -> Bool {
        switch self {
        case .above: time >= day.upperBound
        case .atLeast: time >= day.lowerBound
        case .below: time < day.lowerBound
        case .atMost: time < day.upperBound
        case .equal: day.contains(time)
        }
    }
}

/// Dates of the proleptic Gregorian calendar, UTC.
enum CivilDate {
    static let day: Int64 = 86_400_000

    /// Milliseconds since 1970 at which a date YYYY-MM-DD begins; nil for anything else.
    static func milliseconds(_ text: some StringProtocol) -> Int64? {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0].utf8.count == 4, let year = Int64(parts[0]), let month = Int64(parts[1]),
            let dayOfMonth = Int64(parts[2]), (1...12).contains(month), year >= 0
        else { return nil }
        let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        let lengths: [Int64] = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        guard (1...lengths[Int(month) - 1]).contains(dayOfMonth) else { return nil }
        // Days since 1970 by Hinnant's algorithm: years begin in March.
        let shifted = month <= 2 ? year - 1 : year
        let era = (shifted >= 0 ? shifted : shifted - 399) / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + dayOfMonth - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return (era * 146_097 + dayOfEra - 719_468) * day
    }
}
