import Testing

@testable import ShoalCRDT
@testable import ShoalProtocol

/// The frames as they are kept in `Protocol/Fixtures/v1`: NAME.json before compression, NAME.bin after it, NAME.txt in
/// words. Each was frozen with the version of the protocol that it names; later versions read it as ever, and write the
/// same under their own number.
@Suite(.serialized) struct GoldenFrameTests {
    static let requests = GoldenMessages.requests.map(\.name)
    static let responses = GoldenMessages.responses.map(\.name)

    @Test(arguments: requests) func aRequestIsReadAndWrittenAsEver(_ name: String) throws {
        let built = try #require(GoldenMessages.requests.first { $0.name == name }).message
        try record(name, json: built.json(), compressed: built.encoded(), words: Words.of(built))
        let json = try Fixtures.read("v1/\(name).json")
        let read = try SyncRequest(json: json)
        let words = try Fixtures.text("v1/\(name).txt").split(separator: "\n").map(String.init)
        #expect(Words.of(read) == words)
        #expect(Words.of(built) == words)
        #expect(read.json() == Fixtures.written(json))
        #expect(built.json() == Fixtures.written(json))
        #expect(Words.of(try SyncRequest(decoding: try Fixtures.read("v1/\(name).bin"))) == words)
    }

    @Test(arguments: responses) func aResponseIsReadAndWrittenAsEver(_ name: String) throws {
        let built = try #require(GoldenMessages.responses.first { $0.name == name }).message
        try record(name, json: built.json(), compressed: built.encoded(), words: Words.of(built))
        let json = try Fixtures.read("v1/\(name).json")
        let read = try SyncResponse(json: json)
        let words = try Fixtures.text("v1/\(name).txt").split(separator: "\n").map(String.init)
        #expect(Words.of(read) == words)
        #expect(Words.of(built) == words)
        #expect(read.json() == Fixtures.written(json))
        #expect(built.json() == Fixtures.written(json))
        #expect(Words.of(try SyncResponse(decoding: try Fixtures.read("v1/\(name).bin"))) == words)
    }

    @Test func aDigestIsReadAndWrittenAsEver() throws {
        let (request, response) = (GoldenMessages.digestRequest, GoldenMessages.digestResponse)
        try record("digest-request", json: request.json(), compressed: request.encoded(), words: Words.of(request))
        try record("digest-response", json: response.json(), compressed: response.encoded(), words: Words.of(response))
        func words(_ name: String) throws -> [String] {
            try Fixtures.text("v1/\(name).txt").split(separator: "\n").map(String.init)
        }
        let requestJSON = try Fixtures.read("v1/digest-request.json")
        let responseJSON = try Fixtures.read("v1/digest-response.json")
        #expect(try Words.of(DigestRequest(json: requestJSON)) == words("digest-request"))
        #expect(try Words.of(DigestResponse(json: responseJSON)) == words("digest-response"))
        #expect(try DigestRequest(json: requestJSON).json() == Fixtures.written(requestJSON))
        #expect(try DigestResponse(json: responseJSON).json() == responseJSON)
        #expect(request.json() == Fixtures.written(requestJSON) && response.json() == responseJSON)
        let packedRequest = try DigestRequest(decoding: Fixtures.read("v1/digest-request.bin"))
        let packedResponse = try DigestResponse(decoding: Fixtures.read("v1/digest-response.bin"))
        #expect(try Words.of(packedRequest) == words("digest-request"))
        #expect(try Words.of(packedResponse) == words("digest-response"))
    }

    @Test func anEnrolmentIsReadAndWrittenAsEver() throws {
        let (request, response) = (GoldenMessages.enrollRequest, GoldenMessages.enrollResponse)
        try Fixtures.record("v1/enroll-request.json", request.encoded())
        try Fixtures.record("v1/enroll-response.json", response.encoded())
        try Fixtures.record("v1/enroll-request.txt", lines: Words.of(request))
        try Fixtures.record("v1/enroll-response.txt", lines: Words.of(response))
        let requestJSON = try Fixtures.read("v1/enroll-request.json")
        let responseJSON = try Fixtures.read("v1/enroll-response.json")
        #expect(try EnrollRequest(decoding: requestJSON) == request)
        #expect(try EnrollResponse(decoding: responseJSON) == response)
        #expect(request.encoded() == Fixtures.written(requestJSON))
        #expect(response.encoded() == responseJSON)
    }

    @Test func anEnrolmentOfAHomeThatHadAnAccountIsReadAndWrittenAsEver() throws {
        let request = GoldenMessages.enrollAgainRequest
        try Fixtures.record("v1/enroll-request-former.json", request.encoded())
        try Fixtures.record("v1/enroll-request-former.txt", lines: Words.of(request))
        let json = try Fixtures.read("v1/enroll-request-former.json")
        #expect(try EnrollRequest(decoding: json) == request)
        #expect(request.encoded() == Fixtures.written(json))
    }

    @Test func anEnrolmentOfADeviceWithALeaseIsReadAndWrittenAsEver() throws {
        let (request, response) = (GoldenMessages.enrollDeviceRequest, GoldenMessages.enrollLeaseResponse)
        try Fixtures.record("v1/enroll-request-device.json", request.encoded())
        try Fixtures.record("v1/enroll-request-device.txt", lines: Words.of(request))
        try Fixtures.record("v1/enroll-response-lease.json", response.encoded())
        try Fixtures.record("v1/enroll-response-lease.txt", lines: Words.of(response))
        let requestJSON = try Fixtures.read("v1/enroll-request-device.json")
        let responseJSON = try Fixtures.read("v1/enroll-response-lease.json")
        #expect(try EnrollRequest(decoding: requestJSON) == request)
        #expect(try EnrollResponse(decoding: responseJSON) == response)
        #expect(request.encoded() == Fixtures.written(requestJSON))
        #expect(response.encoded() == responseJSON)
    }

    @Test(arguments: ["0", "-1", "3651", "9223372036854775807", "\"90\"", "null"])
    func aLeaseIsANumberOfDays(_ lease: String) throws {
        let text = String(decoding: GoldenMessages.enrollLeaseResponse.encoded(), as: UTF8.self)
        let changed = text.replacing("\"lease\":90", with: "\"lease\":\(lease)")
        #expect(changed != text)
        #expect(throws: FrameError.self) { try EnrollResponse(decoding: Array(changed.utf8)) }
    }

    @Test func aRelayIsReadAndWrittenAsEver() throws {
        let (request, response) = (GoldenMessages.relayRequest, GoldenMessages.relayResponse)
        try record("relay-request", json: request.json(), compressed: request.encoded(), words: Words.of(request))
        try Fixtures.record("v1/relay-response.json", response.encoded())
        try Fixtures.record("v1/relay-response.txt", lines: Words.of(response))
        let json = try Fixtures.read("v1/relay-request.json")
        let words = try Fixtures.text("v1/relay-request.txt").split(separator: "\n").map(String.init)
        #expect(Words.of(request) == words)
        #expect(Words.of(try RelayRequest(json: json)) == words)
        #expect(try RelayRequest(json: json).json() == Fixtures.written(json))
        #expect(request.json() == Fixtures.written(json))
        #expect(Words.of(try RelayRequest(decoding: try Fixtures.read("v1/relay-request.bin"))) == words)
        let answer = try Fixtures.read("v1/relay-response.json")
        #expect(try RelayResponse(decoding: answer) == response)
        #expect(response.encoded() == answer)
    }

    @Test func aDigestThatIsBehindIsReadAndWrittenAsEver() throws {
        let response = GoldenMessages.digestBehind
        try record(
            "digest-response-behind", json: response.json(), compressed: response.encoded(), words: Words.of(response))
        let json = try Fixtures.read("v1/digest-response-behind.json")
        let words = try Fixtures.text("v1/digest-response-behind.txt").split(separator: "\n").map(String.init)
        #expect(try Words.of(DigestResponse(json: json)) == words)
        #expect(try DigestResponse(decoding: Fixtures.read("v1/digest-response-behind.bin")).json() == json)
        #expect(response.json() == json)
    }

    /// What a program one version ahead says is read as what this version knows of it.
    @Test(arguments: requests) func aRequestOfALaterVersionIsRead(_ name: String) throws {
        let plain = try Fixtures.read("v1/\(name).json")
        let later = GoldenMessages.later(plain, isRequest: true)
        #expect(later != plain)
        #expect(try Words.of(SyncRequest(json: later)) == Words.of(SyncRequest(json: plain)))
    }

    @Test(arguments: responses) func aResponseOfALaterVersionIsRead(_ name: String) throws {
        let plain = try Fixtures.read("v1/\(name).json")
        let later = GoldenMessages.later(plain, isRequest: false)
        #expect(later != plain)
        #expect(try Words.of(SyncResponse(json: later)) == Words.of(SyncResponse(json: plain)))
    }

    @Test func theOtherMessagesOfALaterVersionAreRead() throws {
        func later(_ name: String, isRequest: Bool) throws -> [UInt8] {
            GoldenMessages.later(try Fixtures.read("v1/\(name).json"), isRequest: isRequest)
        }
        #expect(try EnrollRequest(decoding: later("enroll-request", isRequest: true)) == GoldenMessages.enrollRequest)
        #expect(
            try EnrollResponse(decoding: later("enroll-response", isRequest: false)) == GoldenMessages.enrollResponse)
        #expect(try RelayResponse(decoding: later("relay-response", isRequest: false)) == GoldenMessages.relayResponse)
        #expect(
            try Words.of(RelayRequest(json: later("relay-request", isRequest: true)))
                == Words.of(GoldenMessages.relayRequest))
        #expect(
            try Words.of(DigestRequest(json: later("digest-request", isRequest: true)))
                == Words.of(GoldenMessages.digestRequest))
        #expect(
            try Words.of(DigestResponse(json: later("digest-response", isRequest: false)))
                == Words.of(GoldenMessages.digestResponse))
    }

    /// What would be misread by this version says so, and is refused by name before anything else of it is looked at.
    @Test func aFrameThatNeedsALaterVersionIsRefusedByItsVersion() throws {
        let body = Array(#"{"protocol":1000,"needs":999,"logs":7,"logs":[[[["#.utf8)
        let expected = FrameError.protocolVersion(999)
        #expect(throws: expected) { try SyncRequest(json: body) }
        #expect(throws: expected) { try RelayRequest(json: body) }
        #expect(throws: expected) { try DigestRequest(json: body) }
        #expect(throws: expected) { try EnrollRequest(decoding: body) }
        #expect(throws: expected) { try SyncResponse(json: body) }
        #expect(throws: expected) { try RelayResponse(decoding: body) }
        #expect(throws: expected) { try DigestResponse(json: body) }
        #expect(throws: expected) { try EnrollResponse(decoding: body) }
        #expect(throws: FrameError.protocolVersion(0)) { try SyncRequest(json: Array(#"{"protocol":0}"#.utf8)) }
        #expect(
            expected.description.contains("version 999")
                && expected.description.contains("version \(ProtocolVersion.current)"))
    }

    /// A role that this version does not know may no more than everybody; nobody is shut out because of it.
    @Test func aRoleOfALaterVersionCountsAsTheLeast() throws {
        let text = String(decoding: GoldenMessages.enrollResponse.encoded(), as: UTF8.self)
        let later = text.replacing(#""role":"sales""#, with: #""role":"auditor""#)
        #expect(later != text)
        #expect(try EnrollResponse(decoding: Array(later.utf8)).role == .sales)
    }

    @Test func theFolderHoldsTheseFramesAndNoOthers() throws {
        let frames = (Self.requests + Self.responses + ["digest-request", "digest-response", "digest-response-behind"])
            .flatMap {
                ["\($0).bin", "\($0).json", "\($0).txt"]
            }
        let enrolment = ["request", "response"].flatMap { ["enroll-\($0).json", "enroll-\($0).txt"] }
        let recovery = [
            "enroll-request-former", "enroll-request-device", "enroll-response-lease", "relay-response",
            "relay-request",
        ].flatMap {
            ["\($0).json", "\($0).txt"]
        }
        #expect(
            try Fixtures.names(in: "v1") == (frames + enrolment + recovery + ["relay-request.bin"]).sorted())
    }

    @Test func theDictionaryIsTheOneOfTheFile() throws {
        try Fixtures.record("dictionary.txt", FrameDictionary.bytes)
        #expect(try Fixtures.read("dictionary.txt") == FrameDictionary.bytes)
    }

    private func record(_ name: String, json: [UInt8], compressed: [UInt8], words: [String]) throws {
        try Fixtures.record("v1/\(name).json", json)
        try Fixtures.record("v1/\(name).bin", compressed)
        try Fixtures.record("v1/\(name).txt", lines: words)
    }
}
