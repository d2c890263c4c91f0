import Foundation
import Glibc
import Synchronization
import Testing

/// The real programs under load, ended by `kill -9` at random moments.
@Suite struct KillTests {
    /// What the operators and the server's keeper remember.
    private struct Memory {
        var kills = 0
        /// Texts of commands that returned 0.
        var written: [String] = []
        /// Those of them that a sync which returned 0 came after.
        var synced: [String] = []
        var isOver = false
    }

    /// Seeded, so that a failure's commands can be looked at again; the moments are the machine's.
    private struct Dice {
        private var state: UInt64
        init(_ seed: Int) { state = UInt64(truncatingIfNeeded: seed) &* 0x9E37_79B9_7F4A_7C15 | 1 }
        mutating func below(_ bound: Int) -> Int {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            return Int(truncatingIfNeeded: state >> 33) % bound
        }
    }

    /// One operator's commands, one after the other, many of them killed.
    private struct Operator: Sendable {
        let number: Int
        let home: String
        let scratch: String

        func start(_ words: [String]) throws -> Child {
            let variables = ["PATH": "/usr/bin:/bin", "HOME": scratch, "LANG": "C.UTF-8", "SHOAL_HOME": home]
            return try Child([Programs.shoal] + words, environment: variables, scratch: scratch)
        }

        /// - Returns: the command's outcome, and whether it was killed first.
        func run(_ words: [String], _ dice: inout Dice) async throws -> (Child.Outcome, wasKilled: Bool) {
            let child = try start(words)
            if dice.below(3) > 0 {
                try await Task.sleep(for: .microseconds(dice.below(45_000)))
                child.signal(SIGKILL)
            }
            let outcome = try await child.end()
            return (outcome, outcome.status == 128 + SIGKILL)
        }

        func work(_ memory: borrowing Mutex<Memory>) async throws {
            var dice = Dice(number + 1)
            var ids: [String] = []
            var mine: [String] = []
            for step in 0... {
                if memory.withLock({ $0.isOver }) { return }
                let text = "w\(number)-\(step)-"
                var words = ["customer", "add", text]
                let kind = dice.below(8)
                if kind >= 3, let id = ids.last {
                    switch kind {
                    case 3: words = ["note", "add", id, text]
                    case 4: words = ["customer", "set", id, "remark=x", "x-\(step)=\(text)"]
                    case 5: words = ["tag", id, "+\(text)"]
                    default: words = ["sync"]
                    }
                }
                let (outcome, wasKilled) = try await run(words, &dice)
                let failed = outcome.status != 0 && !wasKilled && words[0] != "sync"
                if failed { Issue.record("\(words): \(outcome.status) \(outcome.errors)") }
                if outcome.status == 0, words[0] != "sync" { mine.append(text) }
                if outcome.status == 0, words[1..<words.count].first == "add", words[0] == "customer" {
                    ids.append(outcome.text.trimmingCharacters(in: .whitespacesAndNewlines))
                }
                let isSynced = outcome.status == 0 && words[0] == "sync"
                memory.withLock { memory in
                    if wasKilled { memory.kills += 1 }
                    if isSynced {
                        memory.synced += mine
                        memory.written += mine
                    }
                }
                if isSynced { mine = [] }
                if memory.withLock({ $0.isOver }) { memory.withLock { $0.written += mine } }
            }
        }
    }

    @Test func killedProgramsLoseNothingThatTheyPromised() async throws {
        let isNightly = ProcessInfo.processInfo.environment["SHOAL_NIGHTLY"] != nil
        let wanted = isNightly ? 10_000 : 500
        try await Scene.run { scene in
            var operators: [Operator] = []
            for number in 0..<4 {
                try await scene.enroll("home\(number)", as: "op\(number)", role: "supervisor")
                operators.append(
                    Operator(number: number, home: scene.home("home\(number)"), scratch: scene.directory))
            }
            let memory = Mutex(Memory())
            try await Self.load(operators, memory, scene, until: wanted)
            try await Self.check(operators, memory.withLock { $0 }, scene)
        }
    }

    /// Lets the operators work while the server is killed and started again and again.
    private static func load(
        _ operators: [Operator], _ memory: borrowing Mutex<Memory>, _ scene: Scene, until wanted: Int
    ) async throws {
        // The group's tasks end before this returns, so they may borrow.
        let shared = Shared()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for one in operators { group.addTask { try await one.work(shared.memory) } }
            var dice = Dice(99)
            while shared.memory.withLock({ $0.kills }) < wanted {
                try await Task.sleep(for: .milliseconds(50 + dice.below(350)))
                try await scene.stopServer(with: SIGKILL)
                shared.memory.withLock { $0.kills += 1 }
                try await scene.startServer()
            }
            shared.memory.withLock { $0.isOver = true }
            try await group.waitForAll()
        }
        let result = shared.memory.withLock { $0 }
        memory.withLock { $0 = result }
    }

    private final class Shared: Sendable {
        let memory = Mutex(Memory())
    }

    private static func check(_ operators: [Operator], _ memory: Memory, _ scene: Scene) async throws {
        // Before anybody sends anything again: what was synced is on the server.
        try await scene.stopServer(with: SIGKILL)
        let after = try await scene.shoald("dump").text
        var lost = memory.synced.filter { !after.contains("\"\($0)\"") }
        try await scene.startServer()
        for _ in 0..<2 { for number in operators.indices { try await scene.ok("home\(number)", "sync") } }
        let dump = try await scene.shoald("dump").text
        lost += memory.written.filter { !dump.contains("\"\($0)\"") }
        for number in operators.indices {
            let own = try await scene.ok("home\(number)", "dump") + "\n"
            #expect(own == dump, "home \(number) differs")
        }
        #expect(try await scene.stopServer() == 0)
        let files = ["server/shoald.db"] + operators.indices.map { "home\($0)/replica.db" }
        let damaged = files.filter { integrity(of: "\(scene.directory)/\($0)") != "ok" }
        print(
            "kills=\(memory.kills) acked=\(memory.written.count) lost=\(lost.count)",
            "integrity=\(damaged.isEmpty ? "ok" : damaged.joined(separator: ","))")
        #expect(lost.isEmpty && damaged.isEmpty, "\(lost.prefix(5))")
        #expect(memory.written.count > 50 && !memory.synced.isEmpty)
    }
}
