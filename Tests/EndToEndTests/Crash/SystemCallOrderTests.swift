import Foundation
import Glibc
import Testing

/// An acknowledgement leaves the program after the sync of what it acknowledges, shown by the order of the system calls.
@Suite struct SystemCallOrderTests {
    /// One call of a process, whole: a call that another thread interrupted in the listing counts where it returned.
    struct Call {
        var name: String
        var text: String

        /// Whether it writes room for later, which holds nothing yet: every frame of the log begins with a page's number.
        var isZeros: Bool {
            guard let content = text.split(separator: "\"").dropFirst().first else { return false }
            return content.allSatisfy { $0 == "\\" || $0 == "0" }
        }
    }

    /// Whether strace is there and may trace.
    static let mayTrace: Bool = {
        let scratch = FileManager.default.temporaryDirectory.appendingPathComponent("shoal-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: scratch) }
        guard (try? FileManager.default.createDirectory(at: scratch, withIntermediateDirectories: true)) != nil,
            let child = try? Child(
                ["/usr/bin/strace", "-o", "/dev/null", "/bin/true"], environment: [:], scratch: scratch.path)
        else { return false }
        var status: Int32 = 0
        waitpid(child.pid, &status, 0)
        return status == 0
    }()

    static func calls(_ file: String) throws -> [Call] {
        let text = String(decoding: try Data(contentsOf: URL(fileURLWithPath: file)), as: UTF8.self)
        var begun: [Substring: Substring] = [:]
        var calls: [Call] = []
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: true)
            guard parts.count == 2 else { continue }
            var rest = parts[1].drop { $0 == " " }
            if rest.hasSuffix("<unfinished ...>") {
                begun[parts[0]] = rest
                // What is sent may arrive before the call returns.
                if !rest.hasPrefix("fdatasync"), !rest.hasPrefix("fsync") { begun[parts[0]] = nil } else { continue }
            } else if rest.hasPrefix("<... ") {
                guard let start = begun.removeValue(forKey: parts[0]) else { continue }
                rest = start
            }
            guard let name = rest.split(separator: "(").first else { continue }
            calls.append(Call(name: String(name), text: String(rest)))
        }
        return calls
    }

    private static let options = [
        "-f", "-y", "-s", "64", "-e",
        "trace=pwrite64,fdatasync,fsync,write,writev,sendto,sendmsg,read,readv,recvfrom,recvmsg",
    ]

    /// How many answers went out, and which of them before the write-ahead log was synced.
    ///
    /// - Parameter isAnswer: whether a call acknowledges what was written to the log since the last answer.
    private static func early(_ calls: [Call], log: String, isAnswer: (Call) -> Bool) -> (answers: Int, early: Int) {
        var (answers, early, unsynced, written) = (0, 0, false, false)
        for call in calls {
            if call.text.contains(log) {
                if call.name == "pwrite64", !call.isZeros { (unsynced, written) = (true, true) }
                if call.name == "fdatasync" || call.name == "fsync" { unsynced = false }
            } else if isAnswer(call), written {
                answers += 1
                if unsynced { early += 1 }
                written = false
            }
        }
        return (answers, early)
    }

    /// The tracer may write its last lines when its child has ended already.
    private static func waitForEnd(of file: String) async throws {
        for _ in 0..<500 {
            let text = String(decoding: try Data(contentsOf: URL(fileURLWithPath: file)), as: UTF8.self)
            if text.hasSuffix("+++\n") { return }
            try await Task.sleep(for: .milliseconds(10))
        }
    }

    @Test func theServerAnswersAfterTheSync() async throws {
        guard Self.mayTrace else {
            print("skipped: strace is not there or may not trace (apt-get install strace)")
            return
        }
        try await Scene.run(server: false) { scene in
            let file = "\(scene.directory)/calls"
            // -D: the server is the child, so that it gets the signals.
            try await scene.startServer(under: ["/usr/bin/strace", "-D"] + Self.options + ["-o", file])
            try await scene.enroll("anna", as: "Anna")
            for number in 0..<10 {
                try await scene.ok("anna", "customer", "add", "c\(number)")
                try await scene.ok("anna", "sync")
            }
            try await scene.stopServer()
            try await Self.waitForEnd(of: file)
            let (answers, early) = Self.early(try Self.calls(file), log: "shoald.db-wal>") {
                $0.text.contains("HTTP/1.1 200")
            }
            // The directory's own name is durable before anything is promised.
            #expect(try Self.calls(file).contains { $0.name == "fsync" && $0.text.contains("<\(scene.directory)>") })
            print("server: answers=\(answers) before the sync=\(early)")
            #expect(answers >= 10 && early == 0)
        }
    }

    @Test func aNewHomeIsDurableWithItsName() async throws {
        guard Self.mayTrace else { return }
        try await Scene.run { scene in
            let code = try await scene.code("Anna")
            let file = "\(scene.directory)/calls"
            let child = try scene.begin(
                "new/home", ["enroll", scene.url, code], under: ["/usr/bin/strace"] + Self.options + ["-o", file])
            #expect(try await child.end().status == 0)
            let synced = try Self.calls(file).filter { $0.name == "fsync" || $0.name == "fdatasync" }.map(\.text)
            for directory in [scene.directory, scene.home("new"), scene.home("new/home")] {
                #expect(synced.contains { $0.contains("<\(directory)>") }, "\(directory)")
            }
        }
    }

    @Test func theClientSpeaksAfterTheSync() async throws {
        guard Self.mayTrace else { return }
        try await Scene.run { scene in
            try await scene.enroll("anna", as: "Anna")
            var sum = (answers: 0, early: 0)
            for number in 0..<5 {
                let file = "\(scene.directory)/calls\(number)"
                let child = try scene.begin(
                    "anna", ["customer", "add", "c\(number)"], under: ["/usr/bin/strace"] + Self.options + ["-o", file])
                #expect(try await child.end().status == 0)
                let found = Self.early(try Self.calls(file), log: "replica.db-wal>") {
                    $0.name == "write" && $0.text.hasPrefix("write(1<")
                }
                sum = (sum.answers + found.answers, sum.early + found.early)
            }
            print("client: answers=\(sum.answers) before the sync=\(sum.early)")
            #expect(sum.answers == 5 && sum.early == 0)
        }
    }
}
