import ArgumentParser
import ShoalClient
import ShoalProtocol

struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Look for damage and mend it.",
        discussion: """
            Checks this machine's copy of your data: the file, the records, the log of what you did, and everything derived \
            from them. If the server can be reached it then compares the records with the server's, and fetches exactly \
            what differs. What you did and have not sent yet is never touched; a damaged file is kept under another name.

            The status is 1 if something was wrong that it could not mend.

            EXAMPLES:
              shoal doctor
              shoal doctor --rebuild
              shoal doctor --json
            """)

    @Flag(help: "Derive tables and text index anew, also if they are right.")
    var rebuild = false
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() async throws {
        var visit = Visit()
        visit.findings = try HomeDoctor(home: global.directory(), environment: global.environment).mendFile()
        let replica = try global.replica()
        visit.findings += try replica.examine(rebuilds: rebuild)
        try await Network.use(replica.trust()) { transport in
            do {
                visit.digest = try await DigestDriver(SyncDriver(replica: replica, transport: transport)).run()
            } catch let error as SyncError { visit.obstacle = Failure(error).sentence }
        }
        try visit.conclude(replica)
        var screen = Screen(isJSON: global.json)
        visit.show(on: &screen)
        try screen.finish()
        replica.leave()
        let open = visit.findings.filter { !$0.isMended }
        if let first = open.first {
            throw Failure.failed(
                open.count == 1 ? first.text : "\(open.count) things could not be mended, first: \(first.text)")
        }
    }
}

/// What one visit found.
private struct Visit {
    var findings: [Finding] = []
    /// What the comparison with the server found; nil if there was none.
    var digest: DigestReport?
    /// Why there was none.
    var obstacle: String?

    /// Draws the conclusions from both parts.
    mutating func conclude(_ replica: Replica) throws {
        let lacksRows = findings.contains { $0.kind == .rows && !$0.isMended }
        guard let digest else {
            // The next sync, whenever that is, brings what cannot be read.
            if lacksRows { try replica.fetchAnew() }
            return
        }
        // The sync before the comparison, or the comparison itself, has brought them.
        for index in findings.indices where findings[index].kind == .rows && digest.omitted == 0 {
            findings[index].isMended = true
        }
        let repair = digest.repair
        if !repair.replaced.isEmpty, !lacksRows {
            let what = Format.count(repair.replaced.count, "record", "records")
            findings.append(Finding(.server, "\(what) differed from the server's and were fetched", isMended: true))
        }
        if !repair.removed.isEmpty {
            let what = Format.count(repair.removed.count, "record", "records")
            findings.append(Finding(.server, "\(what) that the server does not have were removed", isMended: true))
        }
        if !repair.missing.isEmpty {
            let what = Format.count(repair.missing.count, "record", "records")
            findings.append(
                Finding(
                    .missing,
                    "the server no longer has what you wrote in \(what), although it had taken it; it is in the log here: "
                        + repair.missing.prefix(5).map(\.description).joined(separator: ", "),
                    isMended: false))
        }
    }

    func show(on screen: inout Screen) {
        if screen.isJSON { return screen.json { json in write(&json) } }
        for finding in findings {
            screen.line(finding.isMended ? .plain("mended: \(finding.text)") : .warning("NOT mended: \(finding.text)"))
        }
        if let digest {
            if findings.isEmpty { screen.line(.plain("all is well; the server has the same")) }
            if digest.omitted > 0 {
                let what = Format.count(digest.omitted, "record", "records")
                screen.line(.plain("\(what) could not be compared: the server is changing or mending them"))
            }
            screen.line(.dim("compared in \(digest.messages) messages, \(Format.bytes(digest.bytes))"))
        } else {
            if findings.isEmpty { screen.line(.plain("all is well here")) }
            screen.line(.plain("not compared with the server: \(obstacle ?? "it was not asked")"))
        }
    }

    private func write(_ json: inout JSONWriter) {
        json.object { json in
            json.member("findings", findings) { json, finding in
                json.object { json in
                    json.member("kind", finding.kind.rawValue)
                    json.member("text", finding.text)
                    json.member("mended", finding.isMended)
                }
            }
            json.member("compared", digest != nil)
            if let obstacle { json.member("obstacle", obstacle) }
            guard let digest else { return }
            json.member("messages", digest.messages)
            json.member("bytes", digest.bytes)
            json.member("omitted", digest.omitted)
        }
    }
}
