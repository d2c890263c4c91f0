import ArgumentParser
import Glibc
import ShoalClient
import ShoalProtocol
import Synchronization

struct SyncCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sync",
        abstract: "Exchange changes with the server.",
        discussion: """
            Sends what you did and fetches what others did. It may be interrupted at any moment: nothing is lost, and the \
            next sync goes on. With --watch it stays and syncs after every change until you press Ctrl-C.

            The status is 1 if the server cannot be reached, or if it refused something of yours; shoal conflicts shows what.

            EXAMPLES:
              shoal sync
              shoal sync --watch
              shoal sync --json
            """)

    @Flag(help: "Stay and keep syncing until interrupted.")
    var watch = false
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() async throws {
        let replica = try global.replica(mayHandOver: true)
        guard watch else {
            return try await Network.use(replica.trust()) { try await syncOnce(replica, $0) }
        }
        // Before the network, whose setting up takes a while.
        let work = Task { [isJSON = global.json] in
            try await Network.use(replica.trust()) { try await Self.keepSyncing(replica, $0, isJSON: isJSON) }
        }
        let interruption = Interruption { work.cancel() }
        defer { interruption.stop() }
        do { try await work.value } catch {
            guard work.isCancelled else { throw error }
        }
        replica.leave()
    }

    private func syncOnce(_ replica: Replica, _ transport: HTTPTransport) async throws {
        let report = try await Network.sync(replica, over: transport)
        var screen = Screen(isJSON: global.json)
        screen.report(report)
        try screen.finish()
        replica.leave()
        guard report.refused.isEmpty else {
            let what = Format.count(report.refused.count, "change", "changes")
            throw Failure.failed("the server refused \(what) of yours, which shoal conflicts shows")
        }
    }

    private static func keepSyncing(_ replica: Replica, _ transport: HTTPTransport, isJSON: Bool) async throws {
        try replica.stayOpen()
        if isatty(STDERR_FILENO) == 1 {
            Screen.say("keeping in step with \(try replica.status().server); Ctrl-C ends it")
        }
        let log = WatchLog(isJSON: isJSON)
        try await SyncDriver(replica: replica, transport: transport).watch { log.show($0) }
    }
}

/// What `sync --watch` prints: a line a sync that changed something, a sentence when the server goes or comes back.
private final class WatchLog: Sendable {
    private let isJSON: Bool
    private let trouble = Mutex<String?>(nil)

    init(isJSON: Bool) { self.isJSON = isJSON }

    func show(_ result: Result<SyncReport, any Error>) {
        switch result {
        case .success(let report):
            if trouble.withLock({ $0.take() }) != nil { Screen.say("the server answers again") }
            guard report.pushed + report.pulled + report.relayed + report.refused.count > 0 else { return }
            var screen = Screen(isJSON: isJSON)
            screen.report(report)
            do { try screen.finish() } catch { Screen.say(Failure(error).sentence) }
        case .failure(let error):
            // When it is tried again is not for a person to remember.
            let sentence = (error as? SyncError)?.description ?? Failure(error).sentence
            let isNew = trouble.withLock { known in
                defer { known = sentence }
                return known != sentence
            }
            if isNew { Screen.say("\(sentence); trying again until it works") }
        }
    }
}

extension Screen {
    fileprivate mutating func report(_ report: SyncReport) {
        if isJSON { return json { $0.report(report) } }
        let traffic = "\(Format.bytes(report.bytesUp)) up, \(Format.bytes(report.bytesDown)) down"
        line(
            .plain(
                "sent \(Format.count(report.pushed, "change", "changes")), received \(Format.number(report.pulled))"),
            .dim(" (\(traffic), \(Format.number(report.milliseconds)) ms)"))
        if report.relayed > 0 {
            let records = Format.count(report.relayed, "record", "records")
            line(.plain("gave \(records) back to the server, which had lost something"))
        }
        for one in report.refused {
            line(
                .warning(
                    one.reason == Refused.unreadable
                        ? "lost: a change of yours that could not be read here"
                        : "refused: \(one.record) (\(one.reason))"))
        }
    }
}

extension JSONWriter {
    fileprivate mutating func report(_ report: SyncReport) {
        object { json in
            json.member("pushed", report.pushed)
            json.member("pulled", report.pulled)
            json.member("refused", report.refused) { json, one in
                json.object { json in
                    json.member("record", one.record)
                    json.member("reason", one.reason)
                }
            }
            json.member("bytesUp", report.bytesUp)
            json.member("bytesDown", report.bytesDown)
            json.member("milliseconds", report.milliseconds)
        }
    }
}
