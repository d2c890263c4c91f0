import Foundation
import Testing

/// HTTPS, and when the programs speak without it.
@Suite(.timeLimit(.minutes(3)))
struct SecureServerTests {
    private static let certificates =
        URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Certificates").path() + "/"
    private static let authority = certificates + "authority.pem"

    /// Starts a server with a certificate and returns its URL.
    private func serve(_ scene: Scene, _ certificate: String) async throws -> String {
        let child = try scene.beginShoald([
            "serve", "--listen", "127.0.0.1:0", "--tls-certificate", "\(Self.certificates)\(certificate).pem",
            "--tls-key",
            "\(Self.certificates)\(certificate).key",
        ])
        for _ in 0..<2_000 {
            let line = child.outputSoFar().split(separator: "\n").first
            if let line, let at = line.range(of: "https://") { return String(line[at.lowerBound...]) }
            try await Task.sleep(for: .milliseconds(10))
        }
        throw Child.Trouble.tooSlow(["shoald", "serve"], output: child.errorsSoFar())
    }

    @Test func aPrivateAuthorityIsTrustedWhenItIsNamedAndRemembered() async throws {
        try await Scene.run(server: false) { scene in
            let url = try await serve(scene, "here")
            let unknown = try await scene.fails("a", "enroll", url, scene.code("小王"))
            #expect(unknown.contains("authority that this machine does not know") && unknown.contains("--ca"))
            try await scene.ok("a", "enroll", "--ca", Self.authority, url, scene.code("小李"))
            let copy = try #require(try await scene.ok("a", "customer", "add", "王小明").split(separator: "\n").first)
            #expect(!copy.isEmpty)
            #expect(try await scene.json("a", "sync")["pushed"] == 1)
            #expect(try await scene.json("a", "status")["pending"] == 0)
            #expect(try await scene.ok("a", "doctor").isEmpty == false)
            for file in ["/dev/null", Self.certificates + "README.md"] {
                let outcome = try await scene.shoal("b", ["enroll", "--ca", file, url, "0000-0000-0000"])
                #expect(outcome.status == 1 && outcome.sentences.count == 1, "\(outcome.errors)")
            }
        }
    }

    @Test func aCertificateThatIsOverOrAnotherHostsIsRefusedInASentence() async throws {
        for (name, words) in [("expired", "not valid today"), ("elsewhere", "for another host")] {
            try await Scene.run(server: false) { scene in
                let url = try await serve(scene, name)
                let sentence = try await scene.fails("a", "enroll", "--ca", Self.authority, url, scene.code("小王"))
                #expect(sentence.contains(words) && sentence.contains("not trusted"), "\(sentence)")
            }
        }
    }

    @Test func withoutTLSTheServerListensOnThisMachineOnlyUnlessToldOtherwise() async throws {
        try await Scene.run(server: false) { scene in
            for host in ["0.0.0.0:0", "[::]:0", "192.0.2.1:80", "127.evil.example:80"] {
                let outcome = try await scene.shoald("serve", "--listen", host)
                #expect(outcome.status == 2 && outcome.sentences.count == 1, "\(outcome.errors)")
                #expect(outcome.errors.contains("--plaintext"), "\(outcome.errors)")
            }
            let child = try scene.beginShoald(["serve", "--plaintext", "--listen", "0.0.0.0:0"])
            for _ in 0..<2_000 where child.outputSoFar().isEmpty { try await Task.sleep(for: .milliseconds(10)) }
            #expect(child.outputSoFar().contains("http://0.0.0.0:"), "\(child.errorsSoFar())")
        }
    }

    @Test func theClientSendsNothingReadableToAnotherMachineUnlessToldTo() async throws {
        try await Scene.run(server: false) { scene in
            for url in [
                "http://192.0.2.1", "http://shoal.example:7420", "http://localhost.example", "http://127.0.0.1.example",
                "http://[2001:db8::1]:80", "HTTP://192.0.2.1",
            ] {
                let sentence = try await scene.fails("a", "enroll", url, "0000-0000-0000")
                #expect(sentence.contains("--plaintext"), "\(url): \(sentence)")
            }
            #expect(!FileManager.default.fileExists(atPath: scene.home("a")))
        }
    }

    @Test func whatPlaintextAllowsIsRemembered() async throws {
        try await Scene.run(server: false) { scene in
            let child = try scene.beginShoald(["serve", "--plaintext", "--listen", "0.0.0.0:0"])
            for _ in 0..<2_000 where child.outputSoFar().isEmpty { try await Task.sleep(for: .milliseconds(10)) }
            let port = try #require(child.outputSoFar().split(separator: "\n").first?.split(separator: ":").last)
            // An address of this machine that the programs do not count as such.
            let url = "http://0.0.0.0:\(port)"
            #expect(try await scene.fails("a", "enroll", url, scene.code("小王")).contains("--plaintext"))
            try await scene.ok("a", "enroll", "--plaintext", url, scene.code("小李"))
            try await scene.ok("a", "customer", "add", "王小明")
            #expect(try await scene.json("a", "sync")["pushed"] == 1)
        }
    }
}
