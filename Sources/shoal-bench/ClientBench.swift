import Foundation
import ShoalClient
import ShoalCRDT
import ShoalProtocol
import ShoalServer

/// The client's part of the matrix: homes in a scratch directory, and what they say to the server's handler.
enum ClientBench {
    static let environment = Environment(
        now: { Int64(Date().timeIntervalSince1970 * 1000) }, ticks: { DispatchTime.now().uptimeNanoseconds },
        random: { UInt64.random(in: .min ... .max) }, sleep: { try await Task.sleep(for: $0) })

    /// Text is indexed when the benchmark says so, not in between.
    static let options = Replica.Options(textQueueBound: nil)

    static func create(_ home: String, _ member: ServerBench.Member) throws -> Replica {
        try Replica.create(
            home: home, server: "http://127.0.0.1", key: member.key, enrolment: member.enrolment,
            environment: environment, options: options)
    }

    static func open(_ home: String) throws -> Replica {
        try Replica(home: home, environment: environment, options: options)
    }

    /// What a pull cost.
    struct Pull {
        var bytes = 0
        /// Seconds of the server: commit, page, encoding.
        var serving = 0.0
        /// Seconds of the client before there is anything to apply: the first request with what it pushes, and the durable
        /// note that it goes out.
        var preparing = 0.0
        /// Seconds of the client: decoding, a commit a page, and the requests for further pages.
        var applying = 0.0
        var pulled = 0
    }

    /// Syncs a replica with a handler in this process, over the bytes that HTTP would carry.
    static func sync(_ replica: Replica, _ handler: SyncHandler, account: RecordID) throws -> Pull {
        var pull = Pull()
        var run = SyncRun(replica)
        var (step, seconds) = try Measure.seconds { try run.next() }
        pull.preparing = seconds
        while true {
            switch step {
            case .send(let body):
                let (answer, serving) = try Measure.seconds { try handler.handleAlone(body, account: account) }
                pull.bytes += answer.count
                pull.serving += serving
                let (_, decoding) = try Measure.seconds { try run.received(answer) }
                pull.applying += decoding
            case .relay(let body): try run.received(try handler.relay(body, account: account).encoded())
            case .finished(let report):
                pull.pulled = report.pulled
                return pull
            }
            (step, seconds) = try Measure.seconds { try run.next() }
            pull.applying += seconds
        }
    }

    /// Carries out one line of a day as its operator would.
    static func perform(
        _ line: Workload.Line, _ commands: Commands, _ base: BaseOperations
    ) throws {
        commands.time = line.time
        let customer = try base.customer(line.customer)
        switch line.kind {
        case .addtag: try commands.setElement(customer, .tagged, try base.tag(line.tag), isPresent: true)
        case .rmtag: try commands.setElement(customer, .tagged, try base.tag(line.tag), isPresent: false)
        case .set: try commands.set(customer, try field(line.field), line.value)
        case .note: _ = try commands.addNote(to: customer, line.value)
        default: throw BenchError("the day has an operation out of place")
        }
    }

    private static func field(_ name: String) throws -> Field {
        switch name {
        case "name": .name
        case "remark": .wangwang
        case "source": .source
        case "birth_month": .birthMonth
        case "skin": .skin
        default: throw BenchError("unknown field \(name)")
        }
    }

    /// A hash of all lines of a dump.
    static func fingerprint(_ replica: Replica) throws -> UInt64 {
        var hash: UInt64 = 0
        try replica.dump { line in hash = line.withUnsafeBytes { SipHash.hash($0, key: (hash, 0)) } }
        return hash
    }

    static func fingerprint(_ store: ServerStore) throws -> UInt64 {
        var hash: UInt64 = 0
        let dump = try store.dump()
        while let lines = try dump.next() {
            for line in lines.split(separator: UInt8(ascii: "\n")) {
                hash = line.withUnsafeBytes { SipHash.hash($0, key: (hash, 0)) }
            }
        }
        return hash
    }
}
