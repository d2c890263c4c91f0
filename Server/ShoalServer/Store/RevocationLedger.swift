import Foundation
import ShoalCRDT
import ShoalProtocol
import ShoalStore

/// What ever stopped to let somebody in, in a file beside the server's database: a backup that is put back may hold it as it was
/// before.
///
/// Each line is milliseconds since 1970 and `device REPLICA`, `discarded REPLICA` or `code HASH` (base64). What is in it never lets
/// anybody in again, so order and repetition mean nothing.
public struct RevocationLedger: Sendable {
    enum Entry: Hashable, Sendable {
        /// A device was revoked; whether its unsent work was given up.
        case device(ReplicaID, isDiscarded: Bool)
        /// A code of enrolment was used or taken back: SHA-256 of the code.
        case code([UInt8])

        fileprivate init?(_ line: String) {
            let words = line.split(separator: " ")
            guard words.count == 3, Int64(words[0]) != nil else { return nil }
            switch words[1] {
            case "device", "discarded":
                guard let replica = ReplicaID(text: String(words[2])) else { return nil }
                self = .device(replica, isDiscarded: words[1] == "discarded")
            case "code":
                guard let hash = Data(base64Encoded: String(words[2])), hash.count == 32 else { return nil }
                self = .code(Array(hash))
            default: return nil
            }
        }

        fileprivate var words: String {
            switch self {
            case .device(let replica, let isDiscarded): "\(isDiscarded ? "discarded" : "device") \(replica.text)"
            case .code(let hash): "code \(Data(hash).base64EncodedString())"
            }
        }
    }

    private let file: LedgerFile
    public var path: String { file.path }

    public init(path: String) { file = LedgerFile(path: path, name: "revocation ledger") }

    /// Whether there is no such file: none was kept, or it did not come along.
    public var isMissing: Bool { access(path, F_OK) != 0 }

    /// - Throws: `StoreError.damaged` for a line that is not in form.
    func entries() throws(StoreError) -> Set<Entry> { Set(try file.entries { Entry($0) }) }

    /// What is wrong with the file, a sentence each; empty for a sound one.
    public func problems() throws -> [String] {
        try file.badLines { Entry($0) }.map { line in
            "line \(line) of \(path) is not in form: put a copy of the file there, or take the line out; whom it named "
                + "is revoked in the database, but a backup from before would let them in again"
        }
    }

    /// Adds what it does not have yet, durably.
    func append(_ entries: some Collection<Entry>, time: Int64) throws(StoreError) {
        let known = try self.entries()
        try file.append(entries.filter { !known.contains($0) }.map { "\(time) \($0.words)" })
    }
}
