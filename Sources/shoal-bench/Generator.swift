import Foundation
import ShoalProtocol

/// Makes a synthetic workload: a brand with an account matrix, its customers, and one offline day of every account.
///
/// The same settings give the same bytes. Nobody's data is in it: names, remarks and notes are put together from lists.
struct Generator {
    var customers = 20_000
    var accounts = 43
    var operations = 500
    var seed: UInt64 = 7

    /// Milliseconds since 1970 of the first customer and of the offline day.
    private static let baseTime: Int64 = 1_710_000_000_000
    private static let dayTime: Int64 = 1_764_000_000_000

    /// Writes `base.jsonl` and a `day-ACCOUNT.jsonl` for each account.
    func write(to directory: String) throws {
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        var state = State(self)
        try Data(state.base()).write(to: URL(fileURLWithPath: directory + "/base.jsonl"))
        for account in 0..<accounts {
            let path = directory + "/day-\(Self.name(of: account)).jsonl"
            try Data(state.day(of: account)).write(to: URL(fileURLWithPath: path))
        }
    }

    static func name(of account: Int) -> String { "a" + (account < 10 ? "0" : "") + "\(account)" }

    /// The workload as it grows, so that a day only does what its account could have done.
    private struct State {
        let settings: Generator
        var random: SplitMix64
        /// The accounts that follow each customer, its maker first.
        var followers: [[Int]] = []
        var tagsOf: [Set<Int>] = []
        /// The customers that each account follows.
        var followed: [[Int]]
        /// Customers that several accounts follow and write about, so that offline edits do meet.
        var contested: [[Int]]

        init(_ settings: Generator) {
            self.settings = settings
            random = SplitMix64(state: settings.seed)
            followed = Array(repeating: [], count: settings.accounts)
            contested = followed
        }

        mutating func base() -> [UInt8] {
            var lines = Lines()
            for account in 0..<settings.accounts {
                lines.add("account", account, Generator.baseTime) { $0.member("v", "客服\(account + 1)号") }
            }
            for tag in 0..<Vocabulary.tagCount {
                let group = tag % Vocabulary.groups.count
                let number = tag / Vocabulary.groups.count
                lines.add("tagdef", 0, Generator.baseTime) {
                    $0.member("tag", Self.tag(tag))
                    $0.member("grp", Vocabulary.groups[group])
                    $0.member("v", Vocabulary.degrees[number % Vocabulary.degrees.count] + Vocabulary.groups[group])
                }
            }
            for customer in 0..<settings.customers { add(customer, to: &lines) }
            contest()
            return lines.bytes
        }

        private mutating func add(_ customer: Int, to lines: inout Lines) {
            let shares = random.below(100)
            let count = min(settings.accounts, shares < 60 ? 1 : shares < 88 ? 2 : 3)
            var following: [Int] = []
            while following.count < count {
                let account = random.below(settings.accounts)
                if !following.contains(account) { following.append(account) }
            }
            let time = Generator.baseTime + Int64(customer) * 1_000 + Int64(random.below(1_000))
            let name = name()
            let remark = remark(name)
            let source = random.pick(Vocabulary.sources)
            let month = "\(random.below(12) + 1)"
            let skin = random.pick(Vocabulary.skins)
            let union = "o" + random.characters(27, of: Vocabulary.base64)
            lines.add("customer", following[0], time) {
                $0.member("c", Self.customer(customer))
                $0.member("name", name)
                $0.member("remark", remark)
                $0.member("source", source)
                $0.member("birth_month", month)
                $0.member("skin", skin)
                $0.member("unionid", union)
            }
            for account in following {
                followed[account].append(customer)
                lines.add("follow", account, time) { $0.member("c", Self.customer(customer)) }
            }
            var tags: Set<Int> = []
            // Three dice: six tags on average, none and fourteen now and then.
            let wanted = random.below(6) + random.below(5) + random.below(5)
            while tags.count < wanted { tags.insert(random.below(Vocabulary.tagCount)) }
            for tag in tags.sorted() {
                lines.add("addtag", following[0], time) {
                    $0.member("c", Self.customer(customer))
                    $0.member("tag", Self.tag(tag))
                }
            }
            for number in 0..<[0, 1, 1, 1, 2, 2, 3, 0][random.below(8)] {
                let body = note()
                lines.add("note", following[0], time + Int64(number)) {
                    $0.member("c", Self.customer(customer))
                    $0.member("n", "n\(customer)-\(number)")
                    $0.member("v", body)
                }
            }
            followers.append(following)
            tagsOf.append(tags)
        }

        private mutating func contest() {
            let shared = followers.indices.filter { followers[$0].count > 1 }
            guard !shared.isEmpty else { return }
            for _ in 0..<4 * settings.accounts {
                let customer = random.pick(shared)
                for account in followers[customer] { contested[account].append(customer) }
            }
        }

        mutating func day(of account: Int) -> [UInt8] {
            var lines = Lines()
            guard !followed[account].isEmpty else { return lines.bytes }
            // Nobody sees another's day: tags are those of the base and of this day.
            var tags: [Int: Set<Int>] = [:]
            var times = (0..<settings.operations).map { _ in Int64(random.below(9 * 3_600_000)) }
            times.sort()
            for (number, offset) in times.enumerated() {
                let time = Generator.dayTime + offset
                let what = random.below(100)
                let customer = random.pick(followed[account])
                var present = tags[customer] ?? tagsOf[customer]
                if what < 55 || what < 65 && present.isEmpty {
                    var tag = random.below(Vocabulary.tagCount)
                    while present.contains(tag) { tag = random.below(Vocabulary.tagCount) }
                    present.insert(tag)
                    tags[customer] = present
                    lines.tag("addtag", account, time, customer, tag)
                } else if what < 65 {
                    let tag = random.pick(present.sorted())
                    present.remove(tag)
                    tags[customer] = present
                    lines.tag("rmtag", account, time, customer, tag)
                } else if what < 85 {
                    set(account, time, customer, &lines)
                } else {
                    let body = note()
                    lines.add("note", account, time) {
                        $0.member("c", Self.customer(customer))
                        $0.member("n", "n\(Generator.name(of: account))-\(number)")
                        $0.member("v", body)
                    }
                }
            }
            return lines.bytes
        }

        private mutating func set(_ account: Int, _ time: Int64, _ customer: Int, _ lines: inout Lines) {
            let meets = random.below(100) < 15 && !contested[account].isEmpty
            let customer = meets ? random.pick(contested[account]) : customer
            let field = random.pick(["name", "remark", "source", "birth_month", "skin"])
            let value =
                switch field {
                case "name": name()
                case "remark": remark(name())
                case "source": random.pick(Vocabulary.sources)
                case "birth_month": "\(random.below(12) + 1)"
                default: random.pick(Vocabulary.skins)
                }
            lines.add("set", account, time) {
                $0.member("c", Self.customer(customer))
                $0.member("f", field)
                $0.member("v", value)
            }
        }

        private mutating func name() -> String {
            random.pick(Vocabulary.surnames) + random.pick(Vocabulary.given)
                + (random.below(3) > 0 ? random.pick(Vocabulary.given) : "")
        }

        private mutating func remark(_ name: String) -> String {
            let wangwang = "tb" + random.characters(6 + random.below(5), of: Vocabulary.lower)
            return "\(random.pick(Vocabulary.memberGroups))-\(random.pick(Vocabulary.sources))-\(wangwang)-\(name)"
        }

        private mutating func note() -> String {
            let length = 20 + random.below(180)
            var text = ""
            var count = 0
            while count < length {
                let part =
                    random.below(5) < 3
                    ? random.pick(Vocabulary.phrases) : random.characters(2 + random.below(6), of: Vocabulary.common)
                text += part + (random.below(4) == 0 ? "。" : "，")
                count += part.unicodeScalars.count + 1
            }
            return text
        }

        static func customer(_ number: Int) -> String { "c" + String(10_000_000 + number).dropFirst() }
        static func tag(_ number: Int) -> String { "t" + String(1_000 + number).dropFirst() }
    }

    /// Lines of flat JSON objects.
    private struct Lines {
        private var json = JSONWriter()
        private(set) var bytes: [UInt8] = []

        mutating func add(_ kind: String, _ account: Int, _ time: Int64, _ members: (inout Lines) -> Void) {
            json = JSONWriter()
            json.beginObject()
            member("op", kind)
            member("a", Generator.name(of: account))
            members(&self)
            json.key("ts")
            json.integer(time)
            json.endObject()
            bytes += json.bytes
            bytes.append(UInt8(ascii: "\n"))
        }

        mutating func tag(_ kind: String, _ account: Int, _ time: Int64, _ customer: Int, _ tag: Int) {
            add(kind, account, time) {
                $0.member("c", State.customer(customer))
                $0.member("tag", State.tag(tag))
            }
        }

        mutating func member(_ key: StaticString, _ value: String) {
            json.key(key)
            json.string(value)
        }
    }
}
