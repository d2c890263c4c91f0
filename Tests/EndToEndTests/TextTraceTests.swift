import Foundation
import Testing

/// Editing traces, replayed by the benchmark on the text type of the programs; it exits 1 at a wrong end.
@Suite(.timeLimit(.minutes(1)))
struct TextTraceTests {
    private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(
        "Traces")

    private func replay(_ path: String, in scene: Scene) async throws -> Child.Outcome {
        try await Child(
            [Programs.bench, "text", path, "--rounds", "1"], environment: [:], scratch: scene.directory
        ).end()
    }

    @Test(arguments: [
        ("sveltecomponent", 18_335, 18_451, "d8bb93b7cf87b4c3a0394fddc028284a093d90d5794a213d1ccb0794eb4ede8f"),
        ("clownschool", 23_136, 21_148, "d0812d3d6bfd59eab997e16187c9f1f575c65c84b4b539b033ab499c2edc79d5"),
        ("friendsforever", 26_078, 21_362, "4720ec330c91e288c00b71cab318f7a1cdde689dfc401f269c353acfd6cb03f6"),
    ])
    func aTraceEndsWithItsText(name: String, transactions: Int, scalars: Int, digest: String) async throws {
        try await Scene.run(server: false) { scene in
            let outcome = try await replay(Self.folder.appendingPathComponent("\(name).ljson.gz").path, in: scene)
            #expect(outcome.status == 0, "\(outcome.errors)")
            let json = try JSON(outcome.output)
            #expect(json["trace"] == .string(name) && json["sha256"] == .string(digest))
            #expect(
                json["transactions"] == .number(Double(transactions)) && json["scalars"] == .number(Double(scalars)))
            for figure in ["milliseconds", "bytes", "zlibBytes"] { #expect(json[figure] != .null, "\(figure)") }
        }
    }

    @Test func everyCaseEndsWithItsTextAndAWrongEndExits1() async throws {
        try await Scene.run(server: false) { scene in
            let cases = try String(contentsOf: Self.folder.appendingPathComponent("cases.jsonl"), encoding: .utf8)
            let right = try await replay(Self.folder.appendingPathComponent("cases.jsonl").path, in: scene)
            #expect(right.status == 0 && right.errors.isEmpty, "\(right.errors)")
            let file = scene.home("wrong.jsonl")
            try cases.replacing("Shopping*Fruit", with: "Shopping*Bread").write(
                toFile: file, atomically: true, encoding: .utf8)
            let wrong = try await replay(file, in: scene)
            #expect(wrong.status == 1 && wrong.output.isEmpty && wrong.errors.contains("case 3"), "\(wrong.errors)")
        }
    }

    @Test(arguments: [
        #"{"txns":[{"agent":"a","parents":[],"patches":[[1,0,"x"]]}],"end":"x"}"#,
        #"{"txns":[{"agent":"a","parents":[0],"patches":[[0,0,"x"]]}],"end":"x"}"#,
        #"{"txns":[{"agent":"a","parents":[],"patches":[[0,0]]}],"end":"x"}"#, "{}", "", "x",
        #"{"txns":[{"agent":"a","seq":4294967295,"parents":[],"patches":[[0,0,"xy"]]}],"end":"x"}"#,
    ])
    func whatIsNoTraceIsRefusedInASentence(line: String) async throws {
        try await Scene.run(server: false) { scene in
            let file = scene.home("trace.jsonl")
            try line.write(toFile: file, atomically: true, encoding: .utf8)
            let outcome = try await replay(file, in: scene)
            #expect(outcome.status == 1 && outcome.output.isEmpty)
            #expect(outcome.errors.split(separator: "\n").count == 1, "\(outcome.errors)")
        }
    }
}
