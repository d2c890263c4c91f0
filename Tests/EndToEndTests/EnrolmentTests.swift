import Foundation
import Testing

@Suite(.timeLimit(.minutes(2)))
struct EnrolmentTests {
    @Test func aCodeEnrollsOnceAndTheFirstSyncFollows() async throws {
        try await Scene.run { scene in
            let code = try await scene.code("小王", role: "sales")
            #expect(try await scene.json("a", "enroll", scene.url, code).keys.isEmpty)
            let status = try await scene.json("a", "status")
            #expect(status["account"] == "小王")
            #expect(status["role"] == "sales")
            #expect(status["server"].text == scene.url)
            #expect(status["lastSync"].isTime)

            #expect(try await scene.fails("a", "enroll", scene.url, code).contains("already"))
            #expect(try await scene.fails("other", "enroll", scene.url, code).contains("used"))
            #expect(try await scene.fails("other", "status").contains("shoal enroll"))
            // A home whose first attempt was refused can be enrolled with another code.
            try await scene.ok("other", "enroll", scene.url, scene.code("小李"))
        }
    }

    /// A command ends instead of waiting for minutes, and says when to try again; a short wait it says.
    @Test func aServerThatAsksForTimeIsNotWaitedForInSilence() async throws {
        try await Scene.run { scene in
            try await scene.enroll("a", as: "小王")
            try await scene.stopServer()
            let port = UInt16(scene.url.split(separator: ":")[2]) ?? 0
            let slow = try ProblemServer(status: 503, title: "T", detail: "moving", port: port, retryAfter: 300)
            let begin = ContinuousClock.now
            #expect(try await scene.fails("a", "sync").contains("(503): moving; try again in 5 minutes"))
            #expect(
                try await scene.fails("b", "enroll", scene.url, "AAAA-AAAA-AAAA").contains("try again in 5 minutes"))
            #expect(try await scene.ok("a", "doctor").contains("try again in 5 minutes"))
            #expect(ContinuousClock.now - begin < .seconds(30))
            slow.stop()
            let again = try ProblemServer(status: 429, title: "T", detail: "busy", port: port, retryAfter: 20)
            defer { again.stop() }
            let terminal = try scene.terminal([Programs.shoal, "sync"], home: "a")
            try await terminal.expect("waiting 20 s to try again: the server cannot answer now (429): busy")
            terminal.type("\u{3}")
            #expect(try await terminal.end().status != 0)
        }
    }

    @Test func aWrongCodeOrAddressIsRefusedInOneSentence() async throws {
        try await Scene.run { scene in
            #expect(try await scene.fails("a", "enroll", scene.url, "WRNG-CODE-0000").contains("code"))
            for url in [
                "nonsense", "127.0.0.1:7420", "ftp://127.0.0.1", "http://", "http://127.0.0.1:99999", "http://h:p",
                "http://[", "https://h?x",
            ] {
                let sentence = try await scene.fails("a", "enroll", url, "WRNG-CODE-0000", status: 2)
                #expect(sentence.contains("https://HOST"), "\(sentence)")
            }
            let secure = scene.url.replacing("http://", with: "https://")
            for url in [secure, "http://no-such-host.invalid"] {
                let sentence = try await scene.fails("a", "enroll", url, "WRNG-CODE-0000")
                #expect(!sentence.contains("NIO") && !sentence.contains("Error"), "\(sentence)")
            }
            try await scene.fails("a", "enroll", "http://127.0.0.1:1", "WRNG-CODE-0000")
            try await scene.fails("a", "enroll", scene.url, status: 2)
        }
    }

    @Test func beforeEnrolmentCommandsSayHow() async throws {
        try await Scene.run(server: false) { scene in
            for words in [
                ["status"], ["sync"], ["customer", "list"], ["customer", "add", "x"], ["tags", "list"],
                ["search", "x"],
                ["conflicts"], ["dump"], ["note", "list", "0000"], ["tag", "0000", "+x"], ["sync", "--json"],
            ] {
                let outcome = try await scene.shoal("a", words)
                #expect(outcome.status == 1, "\(words)")
                #expect(outcome.output.isEmpty)
                #expect(outcome.errors.contains("shoal enroll URL CODE"))
            }
        }
    }

    @Test func aServerThatDoesNotKnowTheReplicaIsSaid() async throws {
        try await Scene.run { scene in
            try await scene.enroll("a", as: "小王")
            try await scene.ok("a", "customer", "add", "王小明")
            try await scene.stopServer()
            try await scene.startServer(data: "another")
            #expect(try await scene.fails("a", "sync").contains("does not know this replica"))
            #expect(try await scene.json("a", "status")["pending"] == 1)
        }
    }
}
