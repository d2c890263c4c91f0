import ArgumentParser
import Foundation
import ShoalClient
import ShoalCRDT
import ShoalProtocol

/// What encryption at rest costs: the same work in a plain home and in an encrypted one.
struct EncryptionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "encryption",
        abstract: "Measures an encrypted home beside a plain one.",
        discussion: """
            Interleaved rounds, medians of their ratios (processor time encrypted to processor time plain): encrypted_commands_ratio of commands that are
            one durable transaction each, encrypted_bulk_ratio of one large transaction with its checkpoint, encrypted_read_ratio of
            opening the home's database and listing all customers, encrypted_dump_ratio of reading every record.
            encrypted_key_ms is what a passphrase costs whenever a home is opened; it is part of none of them.
            """)

    @Argument(help: "An empty directory for databases; decides the disk that is measured.") var scratch: String
    @Option(help: "How many customers.") var customers = 20_000
    @Option(help: "How many rounds.") var rounds = 7

    func validate() throws {
        guard 100...1_000_000 ~= customers, 1...100 ~= rounds else {
            throw ValidationError("--customers takes a number from 100 to 1000000, --rounds one from 1 to 100")
        }
    }

    private static let secret = HomeSecret.keyring(item: "bench", bytes: [UInt8](repeating: 1, count: 32))

    func run() throws {
        try FileManager.default.createDirectory(atPath: scratch, withIntermediateDirectories: true)
        var ratios: [String: [Double]] = [:]
        for round in 0..<rounds {
            var times: [[(String, Double)]] = []
            // Neither is always the first.
            for isEncrypted in round % 2 == 0 ? [false, true] : [true, false] {
                let home = "\(scratch)/\(round)-\(isEncrypted ? "encrypted" : "plain")"
                let measured = try measure(home, isEncrypted)
                if isEncrypted { times.append(measured) } else { times.insert(measured, at: 0) }
                try FileManager.default.removeItem(atPath: home)
            }
            for (plain, encrypted) in zip(times[0], times[1]) {
                ratios[plain.0, default: []].append(encrypted.1 / plain.1)
            }
        }
        for name in ratios.keys.sorted() {
            Measure.metric("encrypted_\(name)_ratio", Measure.median(ratios[name] ?? []))
        }
        let home = scratch + "/key"
        let encryption = HomeEncryption(home: home, environment: Self.environment)
        let (_, seconds) = try Measure.seconds { try encryption.prepare(.passphrase("a passphrase of some length")) }
        try FileManager.default.removeItem(atPath: home)
        Measure.metric("encrypted_key_ms", seconds * 1_000)
    }

    /// Runs `body` and returns how many seconds of a processor it took: what encryption costs, however busy the disk is.
    private static func processor<T>(_ body: () throws -> T) rethrows -> (T, Double) {
        let start = Measure.processor()
        let result = try body()
        return (result, Measure.processor() - start)
    }

    private static var environment: ShoalClient.Environment {
        var environment = ClientBench.environment
        environment.secret = { _, _ in [UInt8](repeating: 1, count: 32) }
        return environment
    }

    private func measure(_ home: String, _ isEncrypted: Bool) throws -> [(String, Double)] {
        let environment = Self.environment
        if isEncrypted { try HomeEncryption(home: home, environment: environment).prepare(Self.secret) }
        let enrolment = EnrollResponse(
            replica: ReplicaID(epoch: 1, count: 1), account: RecordID(milliseconds: 1, count: 0, sequence: 0),
            name: "bench", role: .supervisor, epoch: 7, time: 1_760_000_000_000)
        let replica = try Replica.create(
            home: home, server: "http://bench", key: "key", enrolment: enrolment, environment: environment)
        try replica.stayOpen()
        let (_, bulk) = try Self.processor {
            try replica.write { commands in
                for number in 0..<customers {
                    _ = try commands.addCustomer(
                        name: "顾客 \(number)", fields: [FieldValue("phone", "1380\(number)"), FieldValue("stage", "新客")])
                }
            }
            try replica.close()
        }
        let again = try Replica(home: home, environment: environment)
        try again.stayOpen()
        let (_, commands) = try Self.processor {
            for number in 0..<500 { _ = try again.addCustomer(name: "再来 \(number)") }
        }
        try again.close()
        let (reader, read) = try Self.processor {
            let replica = try Replica(home: home, environment: environment)
            guard try replica.customers().count == customers + 500 else { throw BenchError("customers are missing") }
            return replica
        }
        let (_, dump) = try Self.processor { try reader.dump { _ in } }
        try reader.close()
        return [("bulk", bulk), ("commands", commands), ("read", read), ("dump", dump)]
    }
}
