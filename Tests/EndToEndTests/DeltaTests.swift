import Foundation
import ShoalCRDT
import ShoalProtocol
import Testing

@Suite(.timeLimit(.minutes(1)))
struct DeltaTests {
    private func request() -> SyncRequest {
        var operations = Operations()
        let id = RecordID(milliseconds: 200_000_000_000, count: 1, sequence: 0)
        let replica = ReplicaID(epoch: 0x1A2B, count: 1)
        operations.begin(
            record: id, time: 1_777_777_777_777, creates: Envelope(kind: .customer, scope: .customer(id)), salt: 7)
        operations.edit(CellKey(.name), text: "王小明")
        return SyncRequest(
            epoch: 9, cursor: "", acknowledgement: "",
            logs: [LogPosition(replica: replica, position: 0, hash: .start, end: 1)], operations: operations)
    }

    @Test func aFrameIsPrintedInWordsCompressedOrNot() async throws {
        try await Scene.run(server: false) { scene in
            let frames = [try request().encoded(), request().json()]
            for (index, bytes) in frames.enumerated() {
                let file = scene.home("frame\(index)")
                try Data(bytes).write(to: URL(fileURLWithPath: file))
                let text = try await scene.ok("a", "debug", "delta", file)
                #expect(text.contains("makes customer"))
                #expect(text.contains("name = \"王小明\""))
                let json = try await scene.json("a", "debug", "delta", file)
                #expect(json["protocol"] == .number(Double(ProtocolVersion.current)))
            }
        }
    }

    @Test func framesOfRelaysAndComparisonsArePrintedToo() async throws {
        try await Scene.run(server: false) { scene in
            var page = RecordPage()
            let id = RecordID(milliseconds: 200_000_000_000, count: 1, sequence: 0)
            page.begin(id, Envelope(kind: .customer, scope: .customer(id)))
            let vector = VersionVector([ReplicaID(epoch: 0x1A2B, count: 1): 7])
            let range = DigestRange(.all, .list([RecordPrint(id: id, print: 0xAB)]))
            let frames: [([UInt8], String)] = [
                (try RelayRequest(epoch: 9, vector: vector, page: page).encoded(), "1a2b0001:7"),
                (RelayResponse(taken: 3, more: true).encoded(), "joined          3"),
                (try DigestRequest(epoch: 9, cursor: "c", ranges: [range]).encoded(), "\(id)  ab"),
                (try DigestResponse(gone: [id]).encoded(), "not there       \(id)"),
                (DigestRequest(epoch: 9, cursor: "c", ranges: [range]).json(), "up to the end: 1 record"),
            ]
            for (index, (bytes, words)) in frames.enumerated() {
                let file = scene.home("frame\(index)")
                try Data(bytes).write(to: URL(fileURLWithPath: file))
                let text = try await scene.ok("a", "debug", "delta", file)
                #expect(text.contains(words), "frame \(index): \(text)")
            }
        }
    }

    @Test func aBrokenFrameIsRefusedWithWhereAndWhy() async throws {
        try await Scene.run(server: false) { scene in
            let file = scene.home("broken")
            for bytes in [[], [0x7B], Array(try request().encoded().dropLast(3)), Array("not a frame".utf8)]
                as [[UInt8]]
            {
                try Data(bytes).write(to: URL(fileURLWithPath: file))
                try await scene.fails("a", "debug", "delta", file)
            }
        }
    }
}
