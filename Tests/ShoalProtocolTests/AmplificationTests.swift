import ShoalProtocol
import Testing

/// A frame of a few bytes must not make its reader allocate what only a large one could fill.
@Suite struct AmplificationTests {
    @Test func stampsThatNoEntryUsesAreCountedBeforeMemoryIsTakenForThem() {
        let frame = """
            {"push":{"taken":0,"acknowledgement":"","verdicts":[]},"from":"","cursor":"x","more":false,"fill":true,\
            "positions":[],"time":0,"page":{"n":1048576,"shapes":[[1,0,1048576]],"replica":[]}}
            """
        let error = #expect(throws: FrameError.self) { try SyncResponse(json: Array(frame.utf8)) }
        guard case .json(let reason) = error else {
            Issue.record("refused for another reason: \(String(describing: error))")
            return
        }
        #expect(reason.reason == .tooMany(limit: 1 << 20))
    }
}
