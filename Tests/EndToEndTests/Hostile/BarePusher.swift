import Foundation
import ShoalCRDT
import ShoalProtocol
import Testing

/// The least that pushes: a log and where it stands.
struct BarePusher {
    let port: Int
    let key: String
    let enrolled: EnrollResponse
    private var position: UInt32 = 0
    private var hash = OperationHash.start
    private var acknowledgement = ""
    private var allocator = RecordIDAllocator()

    init(port: Int, code: String, seed: UInt8) async throws {
        self.port = port
        key = Data(repeating: seed, count: 32).base64EncodedString().replacing("+", with: "-").replacing("/", with: "_")
            .replacing("=", with: "")
        let body = EnrollRequest(code: code, key: key).encoded()
        let answer = try await RawExchange.run(port: port, RawExchange.post("/v1/enroll", body, key: nil))
        try #require(answer.statuses == [200], "\(answer.statuses)")
        enrolled = try EnrollResponse(decoding: answer.body)
    }

    /// A customer more; whether the server took it.
    mutating func pushes() async throws -> Bool {
        var operations = Operations()
        guard let id = allocator.next(time: 1_700_000_000_000, replica: enrolled.replica) else { return false }
        operations.begin(
            record: id, time: 1_700_000_000_000, creates: Envelope(kind: .customer, scope: .customer(id)),
            salt: position)
        operations.edit(CellKey(.name), text: "王小明")
        let answer = try await send(operations)
        guard answer.statuses == [200] else { return false }
        return try take(answer, operations).isEmpty
    }

    /// Sends operations in this log.
    mutating func send(_ operations: Operations) async throws -> RawExchange.Answer {
        let log = LogPosition(
            replica: enrolled.replica, position: position, hash: hash, end: position + UInt32(operations.count))
        let request = SyncRequest(
            epoch: enrolled.epoch, cursor: "", acknowledgement: acknowledgement, logs: [log], operations: operations)
        return try await RawExchange.run(port: port, RawExchange.post("/v1/sync", try request.encoded(), key: key))
    }

    /// Notes what was taken.
    ///
    /// - Returns: what of it was refused.
    mutating func take(_ answer: RawExchange.Answer, _ operations: Operations) throws -> [Verdict] {
        let response = try SyncResponse(decoding: answer.body)
        guard case .taken(let upTo, let token, let verdicts) = response.push else {
            throw RawExchange.Trouble(description: "not taken: \(response.push)")
        }
        try #require(Int(upTo) == Int(position) + operations.count)
        var scratch: [UInt8] = []
        for index in 0..<operations.count { hash = operations.hash(of: index, after: hash, scratch: &scratch) }
        position = upTo
        acknowledgement = token
        return verdicts
    }
}
