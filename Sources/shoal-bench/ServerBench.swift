import Foundation
import ShoalCRDT
import ShoalProtocol
import ShoalServer

/// The server's part of the matrix: its store in a scratch directory, with an account for each of the workload.
final class ServerBench {
    struct Member {
        var name: String
        var id: RecordID
        /// The replica that the base was imported on.
        var importer: ReplicaID
        /// The replica that works.
        var enrolment: EnrollResponse
        var key: String
    }

    let path: String
    private(set) var store: ServerStore
    private(set) var members: [Member] = []
    static let environment = ServerEnvironment(
        now: { Int64(Date().timeIntervalSince1970 * 1000) },
        random: { count in
            var generator = SystemRandomNumberGenerator()
            var bytes: [UInt8] = []
            while bytes.count < count { withUnsafeBytes(of: generator.next()) { bytes.append(contentsOf: $0) } }
            return Array(bytes.prefix(count))
        },
        sleep: { try await Task.sleep(for: .milliseconds($0)) })

    init(path: String, accounts: [String], role: Role = .supervisor) throws {
        self.path = path
        store = try ServerStore(path: path, environment: Self.environment)
        let book = Accounts(store: store, environment: Self.environment)
        for name in accounts {
            let made = try book.add(name: name, role: role)
            let importer = try book.enroll(EnrollRequest(code: made.code, key: Self.key()))
            members.append(try enroll(name, made.account, importer: importer.replica))
        }
    }

    /// Enrols another replica of an account.
    private func enroll(_ name: String, _ account: RecordID, importer: ReplicaID) throws -> Member {
        let book = Accounts(store: store, environment: Self.environment)
        let key = Self.key()
        let enrolment = try book.enroll(EnrollRequest(code: try book.newCode(name: name).code, key: key))
        return Member(name: name, id: account, importer: importer, enrolment: enrolment, key: key)
    }

    /// A fresh replica of an account.
    func newcomer(_ number: Int = 0) throws -> Member {
        try enroll(members[number].name, members[number].id, importer: members[number].importer)
    }

    /// 32 random bytes in base64url.
    private static func key() -> String {
        Data(environment.random(32)).base64EncodedString()
            .replacingOccurrences(of: "+", with: "-").replacingOccurrences(of: "/", with: "_")
            .replacingOccurrences(of: "=", with: "")
    }

    func open() throws { store = try ServerStore(path: path, environment: Self.environment) }

    func reopen() throws {
        try store.close()
        try open()
    }

    func close() throws { try store.close() }

    /// The base in one transaction: each account's log, then the relations that follow.
    func pushes(_ base: BaseOperations) -> [ServerSession.Push] {
        let time = Self.environment.now()
        var pushes: [ServerSession.Push] = []
        for (index, member) in members.enumerated() {
            for (operations, position) in [(base.makes[index], 0), (base.follows[index], base.makes[index].count)]
            where !operations.isEmpty {
                let end = UInt32(position + operations.count)
                pushes.append(
                    ServerSession.Push(
                        account: member.id, epoch: store.epoch, acknowledgement: "", cursor: "",
                        logs: [
                            LogPosition(
                                replica: member.importer, position: UInt32(position),
                                hash: position == 0 ? .start : lastHash(base.makes[index]), end: end)
                        ], operations: operations, tail: [], time: time))
            }
        }
        // Everything is made before anything refers to it.
        return pushes.filter { $0.logs[0].position == 0 } + pushes.filter { $0.logs[0].position > 0 }
    }

    private func lastHash(_ operations: Operations) -> OperationHash {
        var scratch: [UInt8] = []
        var hash = OperationHash.start
        for index in 0..<operations.count { hash = operations.hash(of: index, after: hash, scratch: &scratch) }
        return hash
    }
}
