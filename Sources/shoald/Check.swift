import ArgumentParser
import Foundation
import ShoalServer

struct Check: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Verify the database.",
        discussion: """
            Reads everything and changes nothing; the server may run meanwhile. The status is 1 if something is damaged.

            A record whose row is damaged is set aside as soon as somebody needs it, and everything else goes on. With
            --mend such records are taken from a backup that has them exactly as they were; replicas then get them again.

              shoald check
              shoald check --mend /backups/monday.db
            """)

    @Option(help: ArgumentHelp("Mend records that are set aside from this backup.", valueName: "file"))
    var mend: String?

    @OptionGroup var global: GlobalOptions

    func run() async throws {
        let directory = try global.directory
        guard directory.hasDatabase else { throw Failure("there is no database in \(directory.path)") }
        try directory.refuseLogAlone()
        // Before the database is opened, which needs a ledger that can be read.
        let ledger = try directory.ledger.problems() + directory.revocations.problems()
        if mend != nil, let problem = ledger.first { throw Failure(problem) }
        var report = try await self.report(directory)
        report.problems += ledger
        if global.json {
            try global.printJSON(report)
        } else {
            for problem in report.problems { print(problem) }
            for one in report.quarantined {
                print("the record \(one.record) is set aside: \(one.reason)")
            }
            // Of a file of which nothing can be read there is nothing to count.
            if report.records + report.logs + report.accounts == 0, !report.problems.isEmpty { throw damaged(report) }
            print(
                "\(report.records) records, \(report.logs) logs with \(report.operations) operations, "
                    + "\(report.accounts) accounts, an audit of \(report.audit) entries")
            if report.audit > 0 { print("the audit ends with \(report.auditHash)") }
        }
        guard report.isSound else { throw damaged(report) }
    }

    /// With what helps.
    private func damaged(_ report: CheckReport) -> Failure {
        let count = report.problems.count + report.quarantined.count
        let what = "the database is damaged in \(count) \(count == 1 ? "place" : "places")"
        if report.problems.count == report.unreadable {
            return Failure(
                """
                \(what), each a record by itself: everything else goes on. shoald check --mend FILE takes those from a backup that has \
                them as they were last. Those that none has so: go back to the newest backup that has them, replicas push what came \
                after it. Move shoald.db* away and shoald restore FILE
                """)
        }
        return Failure(
            """
            \(what). If only indexes are, shoald backup FILE has all of it; else go back to the newest backup: replicas push what \
            came after it. Move shoald.db* away and shoald restore FILE. Without a backup begin anew with shoald recover
            """)
    }

    private func report(_ directory: DataDirectory) async throws -> CheckReport {
        let backup = mend.map { DataDirectory.absolute($0) }
        let remote = RemoteServer(socket: try directory.socket())
        let report = try await DataDirectory.waiting { () -> CheckReport? in
            if let lock = try directory.lock() {
                defer { withExtendedLifetime(lock) {} }
                if let backup {
                    let store = try directory.open()
                    try store.note(.mend, time: ServerEnvironment.system.now())
                    try store.mend(from: backup)
                    try store.close()
                }
                return try DatabaseCheck.run(path: directory.database)
            }
            guard await remote.answers() else { return nil }
            return try await remote.post("/v1/check", CheckRequest(mend: backup))
        }
        guard let report else {
            throw Failure("the data directory \(directory.path) is in use by another process that does not answer")
        }
        return report
    }
}
