import Testing

@testable import ShoalCRDT
@testable import ShoalProtocol

/// What is read is what was written, through the whole codec, compression included.
@Suite struct RoundTripLaws {
    @Test func aRequestIsReadAsItWasWritten() {
        law(
            generate: { random in
                var generator = MessageGenerator(&random)
                return generator.request()
            }, smaller: Self.smaller
        ) { request in
            do {
                let read = try SyncRequest(decoding: try request.encoded())
                if let difference = difference(Words.of(request), Words.of(read)) { return difference }
                return Self.chains(request, read) ?? Self.respelled(request.json(), read.json())
            } catch { return "\(error) in \(String(decoding: request.json(), as: UTF8.self))" }
        }
    }

    @Test func aResponseIsReadAsItWasWritten() {
        law(generate: { random in
            var generator = MessageGenerator(&random)
            return generator.response()
        }) { response in
            do {
                let read = try SyncResponse(decoding: try response.encoded())
                if let difference = difference(Words.of(response), Words.of(read)) { return difference }
                // Once read, elements of one cell share their bytes, which may decide about an alphabet; then never again.
                let again = try SyncResponse(json: read.json())
                return Self.respelled(read.json(), again.json())
            } catch { return "\(error) in \(String(decoding: response.json(), as: UTF8.self))" }
        }
    }

    @Test func aLargeFrameIsReadAsItWasWritten() throws {
        var random = SplitMix(seed: 11)
        var request = SyncRequest(
            epoch: 1, cursor: "", acknowledgement: "",
            logs: [
                LogPosition(replica: ReplicaID(rawValue: 1), position: 0, hash: .start, end: 5_000)
            ], operations: Operations())
        var page = RecordPage()
        while request.operations.count < Limits.operations || page.heads.count < 20_000 {
            var generator = MessageGenerator(&random)
            let more = generator.operations()
            for index in 0..<min(more.count, Limits.operations - request.operations.count) {
                request.operations.append(index, of: more)
            }
            let records = generator.page()
            for head in records.heads where page.heads.count < 20_000 {
                page.begin(RecordID(rawValue: Int64(page.heads.count) << 40 | 77), head.envelope)
                for index in head.entries {
                    page.append(records.entries[index], from: records.arena, isOwn: records.own.contains(index))
                }
            }
        }
        let readRequest = try SyncRequest(json: request.json())
        #expect(difference(Words.of(request), Words.of(readRequest)) == nil)
        #expect(Self.chains(request, readRequest) == nil)
        let response = SyncResponse(
            push: .taken(upTo: 1, acknowledgement: "", verdicts: []), from: "", page: page, cursor: "", more: false,
            isFill: true,
            positions: [], time: 0)
        let readResponse = try SyncResponse(json: response.json())
        #expect(difference(Words.of(response), Words.of(readResponse)) == nil)
    }

    /// The canonical bytes of every operation and the hash chain over them.
    private static func chains(_ a: SyncRequest, _ b: SyncRequest) -> String? {
        var (x, y) = (OperationHash.start, OperationHash.start)
        var (left, right): ([UInt8], [UInt8]) = ([], [])
        for index in 0..<a.operations.count {
            left.removeAll(keepingCapacity: true)
            right.removeAll(keepingCapacity: true)
            a.operations.encode(index, into: &left)
            b.operations.encode(index, into: &right)
            if left != right { return "the bytes of operation \(index) differ" }
            x = a.operations.hash(of: index, after: x, scratch: &left)
            y = b.operations.hash(of: index, after: y, scratch: &right)
            if x != y { return "the hash of operation \(index) differs" }
        }
        return nil
    }

    private static func respelled(_ a: [UInt8], _ b: [UInt8]) -> String? {
        a == b
            ? nil
            : "written again it is spelled\n\(String(decoding: b, as: UTF8.self))\nand was\n\(String(decoding: a, as: UTF8.self))"
    }

    /// The request less one operation.
    private static func smaller(_ request: SyncRequest) -> [SyncRequest] {
        (0..<request.operations.count).map { left in
            var smaller = request
            smaller.operations = Operations()
            for index in 0..<request.operations.count where index != left {
                smaller.operations.append(index, of: request.operations)
            }
            return smaller
        }
    }
}
