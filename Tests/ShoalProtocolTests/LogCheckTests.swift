import ShoalCRDT
import ShoalProtocol
import Testing

struct LogCheckTests {
    private static let vector = VersionVector([ReplicaID(rawValue: 7): 3, ReplicaID(rawValue: 9): 5])

    private static func relay(_ checks: String) throws -> RelayRequest {
        let json = """
            {"protocol":3,"epoch":"0000000000000001","vector":[[7,3],[9,5]],"checks":"\(checks)","page":{"n":0}}
            """
        return try RelayRequest(json: Array(json.utf8))
    }

    @Test func theUpperBitsOfTheHashAreSaid() throws {
        let check = LogCheck(OperationHash(rawValue: 0x0123_4567_89ab_cdef))
        #expect(check.rawValue == 0x012345)
        #expect(!check.contradicts(OperationHash(rawValue: 0x0123_45ff_0000_0000)))
        #expect(check.contradicts(OperationHash(rawValue: 0x0123_46ff_0000_0000)))
        #expect(!LogCheck.unknown.contradicts(OperationHash(rawValue: .max)))
    }

    @Test func aRelaySaysWhatItWasTold() throws {
        let told = RelayRequest(
            epoch: 1, vector: Self.vector, checks: [ReplicaID(rawValue: 9): LogCheck(rawValue: 0x012345)],
            page: RecordPage())
        let json = String(decoding: told.json(), as: UTF8.self)
        // 000000 000001 001000 110100 010101 in base 64, the first log's is not known.
        #expect(json.contains(#""vector":[[7,3],[9,5]],"checks":"AAAAASNF","#), "\(json)")
        #expect(try RelayRequest(json: told.json()).checks == told.checks)
        #expect(try Self.relay("AAAAASNF").checks == told.checks)
        let untold = RelayRequest(epoch: 1, vector: Self.vector, page: RecordPage())
        #expect(!String(decoding: untold.json(), as: UTF8.self).contains("checks"))
    }

    @Test(arguments: ["AAAA", "AAAAASNFA", "AAAAASN", "AAAAASN=", "AAAAASN/"])
    func checksThatDoNotFitAreRefused(checks: String) {
        #expect(throws: FrameError.self) { try Self.relay(checks) }
    }

    @Test func checksOfOtherPositionsAreRefused() throws {
        let json = """
            {"push":{"taken":{"upTo":0,"acknowledgement":"","verdicts":[]}},"from":"","cursor":"c","more":false,"fill":false,
            "positions":[[7,3]],"checks":"AAAAAAAB","time":0}
            """
        #expect(throws: FrameError.self) { try SyncResponse(json: Array(json.utf8)) }
    }
}
