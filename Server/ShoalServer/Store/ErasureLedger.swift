import ShoalCRDT
import ShoalStore

/// What was ever erased on a server, in a file beside its database: it survives when the database is replaced by a backup,
/// which may hold everything again.
///
/// Each line is record, customer, milliseconds since 1970, and who asked for it. It never holds anything of what was erased.
public struct ErasureLedger: Sendable {
    public struct Entry: Hashable, Sendable {
        public var record: RecordID
        /// The customer to whom it belonged; itself for the customer.
        public var person: RecordID
        /// Milliseconds since 1970.
        public var time: Int64
        /// Who asked for it, on the server's machine.
        public var by: String

        init(record: RecordID, person: RecordID, time: Int64, by: String) {
            self.record = record
            self.person = person
            self.time = time
            self.by = by
        }

        fileprivate init?(_ line: String) {
            let words = line.split(separator: " ", maxSplits: 3)
            guard words.count == 4, let record = RecordID(text: words[0]), let person = RecordID(text: words[1]),
                let time = Int64(words[2])
            else { return nil }
            self.init(record: record, person: person, time: time, by: String(words[3]))
        }

        fileprivate var line: String { "\(record) \(person) \(time) \(by)" }
    }

    private let file: LedgerFile
    public var path: String { file.path }

    public init(path: String) { file = LedgerFile(path: path, name: "erasure ledger") }

    /// All entries, the oldest first.
    ///
    /// - Throws: `StoreError.damaged` for a line that is not in form.
    func entries() throws(StoreError) -> [Entry] { try file.entries { Entry($0) } }

    /// What is wrong with the file, a sentence each; empty for a sound one.
    public func problems() throws -> [String] {
        try file.badLines { Entry($0) }.map { line in
            "line \(line) of \(path) is not in form: put a copy of the file there, or take the line out; whom it named "
                + "is erased in the database, but a backup from before would bring them back"
        }
    }

    /// Adds entries, durably.
    func append(_ entries: [Entry]) throws(StoreError) { try file.append(entries.map(\.line)) }
}
