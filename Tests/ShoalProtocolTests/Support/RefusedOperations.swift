@testable import ShoalCRDT
@testable import ShoalProtocol

/// Sync requests in form, each operation of which a server refuses, whoever sends them.
enum RefusedOperations {
    static func all() -> [[UInt8]] {
        var random = SplitMix(seed: 7)
        return RefusedInputs.distinct((0..<120).map { request($0, &random).json() }, most: 100)
    }

    private static func request(_ index: Int, _ random: inout SplitMix) -> SyncRequest {
        var operations = Operations()
        for _ in 0...random.below(3) { operation(index % 5, &operations, &random) }
        let log = LogPosition(
            replica: ReplicaID(rawValue: 1), position: 0, hash: OperationHash.start, end: UInt32(operations.count))
        return SyncRequest(epoch: 0, cursor: "", acknowledgement: "", logs: [log], operations: operations)
    }

    private static func operation(_ fault: Int, _ operations: inout Operations, _ random: inout SplitMix) {
        let id = RecordID(rawValue: 1 << 40 | Int64(random.below(1 << 30)) << 21 | Int64(random.below(1 << 21)))
        let customer = Envelope(kind: .customer, scope: .customer(id))
        let nobody = Dot(
            ReplicaID(rawValue: 0x7FFF_0000 + UInt32(random.below(1_000))), 1 + UInt32(random.below(1_000)))
        let salt = UInt32(truncatingIfNeeded: random.next())
        switch fault {
        case 0:
            // Nobody made the record.
            operations.begin(record: id, time: 1_700_000_000_000, salt: salt)
            operations.edit(CellKey(.name), text: "王小明")
        case 1:
            // Supersedes what nobody wrote.
            operations.begin(record: id, time: 1_700_000_000_000, creates: customer, salt: salt)
            operations.edit(CellKey(.name), text: "王小明", supersedes: [nobody])
        case 2:
            // Only a server makes accounts.
            operations.begin(
                record: id, time: 1_700_000_000_000, creates: Envelope(kind: .account, scope: .workspace), salt: salt)
            operations.edit(CellKey(.accountRole), text: "supervisor")
        case 3:
            // Deletes what nobody wrote.
            operations.begin(record: id, time: 1_700_000_000_000, salt: salt)
            operations.cover([nobody])
        default:
            // A change of a text that is none.
            operations.begin(record: id, time: 1_700_000_000_000, creates: customer, salt: salt)
            operations.edit(
                CellKey(.body), .textChange, slice: operations.store("[\(random.below(1_000))]".utf8))
        }
    }
}
