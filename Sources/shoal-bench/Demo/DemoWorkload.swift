import Foundation

/// The generated workspace, cut into the part that each account loads.
struct DemoWorkload {
    /// The accounts' names as people see them.
    private(set) var accounts: [String] = []
    private(set) var customers = 0
    private(set) var tags = 0
    private(set) var notes = 0
    /// The customers whose ids each account must be told: it works on them and others made them.
    private(set) var foreign: [Set<String>]

    /// The customers that each account follows, and how many of all are followed by more than one.
    private(set) var followed: [Set<String>]
    private(set) var shared = 0

    /// How many (customer, field) pairs each account must have in conflict when all days have met, worked out from the lines
    /// alone, and how many there are in all.
    private(set) var conflicts: [Int] = []
    private(set) var allConflicts = 0

    /// Generates into the directory and writes a `part-ACCOUNT.jsonl` for each account: accounts, tags, and the customers
    /// that it makes with their followers, tags and notes.
    init(_ generator: Generator, in directory: DemoDirectory) throws {
        try generator.write(to: directory.workload)
        foreign = Array(repeating: [], count: generator.accounts)
        followed = foreign
        var preamble: [UInt8] = []
        var parts = [[UInt8]](repeating: [], count: generator.accounts)
        var place: [String: Int] = [:]
        for account in 0..<generator.accounts { place[Generator.name(of: account)] = account }
        var expected = ExpectedConflicts()
        var current = 0
        let base = directory.workload + "/base.jsonl"
        let bytes = try [UInt8](Data(contentsOf: URL(fileURLWithPath: base)))
        for raw in bytes.split(separator: UInt8(ascii: "\n")) {
            let line = try Workload.line(Array(raw))
            switch line.kind {
            case .account, .tagdef:
                if line.kind == .account { accounts.append(line.value) } else { tags += 1 }
                preamble += raw
                preamble.append(UInt8(ascii: "\n"))
                continue
            case .customer:
                customers += 1
                current = place[line.account] ?? 0
                expected.begin(line)
            case .note: notes += 1
            case .follow:
                guard let follower = place[line.account] else { break }
                followed[follower].insert(line.customer)
                if follower != current { foreign[follower].insert(line.customer) }
            default: break
            }
            parts[current] += raw
            parts[current].append(UInt8(ascii: "\n"))
        }
        for account in 0..<generator.accounts {
            try Data(preamble + parts[account]).write(to: URL(fileURLWithPath: directory.part(account)))
        }
        for account in 0..<generator.accounts { expected.take(day: try Workload.read(directory.day(account))) }
        let places = expected.customers
        conflicts = followed.map { seen in places.count { seen.contains($0) } }
        allConflicts = places.count
        shared = foreign.reduce(into: Set<String>()) { $0.formUnion($1) }.count
    }
}

/// Counts the conflicts that concurrent days must leave: fields that got different values from different accounts.
private struct ExpectedConflicts {
    private struct Place: Hashable {
        var customer: String
        var field: String
    }
    private var base: [Place: String] = [:]
    private var written: [Place: Set<String>] = [:]

    mutating func begin(_ line: Workload.Line) {
        for (field, value) in [
            ("name", line.name), ("source", line.source), ("birth_month", line.birthMonth), ("skin", line.skin),
        ] { base[Place(customer: line.customer, field: field)] = value }
    }

    /// Nobody sees another's day: only the last value that an account wrote counts, and what was so already is not written.
    mutating func take(day: [Workload.Line]) {
        var last: [Place: String] = [:]
        for line in day where line.kind == .set {
            let place = Place(customer: line.customer, field: line.field)
            // Everybody has a remark of their own.
            guard let before = last[place] ?? base[place], before != line.value else { continue }
            last[place] = line.value
        }
        for (place, value) in last { written[place, default: []].insert(value) }
    }

    /// The customer of each conflict.
    var customers: [String] { written.filter { $0.value.count > 1 }.map(\.key.customer) }
}
