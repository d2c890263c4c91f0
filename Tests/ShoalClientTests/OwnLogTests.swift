import ShoalCRDT
import Testing

@testable import ShoalClient

@Suite struct OwnLogTests {
    /// The second log was emptied when the first one got its operations back.
    @Test func anEmptiedLogHasNoneOfThem() {
        func log(_ replica: UInt32, after position: Int64, end: UInt32 = 0) -> OwnLog {
            OwnLog(replica: ReplicaID(rawValue: replica), after: position, end: end)
        }
        let logs = [log(1, after: 0, end: 36), log(2, after: 24), log(3, after: 36)]
        #expect([1, 24, 25, 36, 37, 99].map { logs.owner(of: $0)?.replica.rawValue } == [1, 1, 1, 1, 3, 3])
        #expect(logs.owner(of: 0) == nil)
    }
}
