import ArgumentParser
import Foundation
import ShoalServer
import ShoalStore

struct Backup: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Write the database as of now into a new file.",
        discussion: """
            The server may run meanwhile. The file appears whole and durable or not at all, and nothing is overwritten. It
            holds keys of replicas (as SHA-256) and of the server: keep it as you keep the data directory.

              shoald backup /backups/monday.db

            To go back to it, stop the server, move the data directory's shoald.db* away, and

              shoald restore /backups/monday.db

            Of a database whose indexes alone are damaged the backup is whole, and going back to it at once mends it. If records are
            damaged it is written all the same, and the status is 1.
            """)

    @Argument(help: "Where nothing is yet.", completion: .file()) var file: String
    @OptionGroup var global: GlobalOptions

    func run() async throws {
        let path = DataDirectory.absolute(file)
        let report: BackupReport
        do {
            report = try await Administration.with(global) { administration in
                switch administration {
                case .local(let store, _): try store.backup(to: path, time: ServerEnvironment.system.now())
                case .remote(let server): try await server.post("/v1/backup", BackupRequest(file: path))
                }
            }
        } catch StoreError.damaged(_, let reason) {
            // It cannot be opened, but what matters of it may be read.
            let directory = try global.directory
            let lock = try await directory.exclusively("make a backup of what is left of its database")
            defer { withExtendedLifetime(lock) {} }
            report = try ServerStore.backup(damaged: directory.database, reason: reason, to: path)
        }
        if global.json {
            try global.printJSON(report)
        } else if let damage = report.damage {
            print("the database is damaged (\(damage)), but only where it can be made anew: the backup has all of it.")
            print("stop the server, move \(try global.directory.database)* away, and shoald restore \(path)")
        }
        if let problem = report.problem {
            throw Failure(
                "the backup is written, but shoald restore will not take it: \(problem). Keep the earlier ones")
        }
        guard report.damagedRecords == 0 else {
            let count = report.damagedRecords
            throw Failure(
                """
                the backup is written, but \(count) \(count == 1 ? "record is" : "records are") damaged in the database and in it: \
                shoald check names them, and shoald check --mend takes them from an earlier backup. Keep those until that is done
                """)
        }
    }
}

struct Restore: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Begin a data directory with a backup.",
        discussion: """
            The backup is checked first, and a database that is there is never overwritten. The server must not run. It is
            an earlier state of itself then: replicas notice and push what it lost. Persons that were erased are erased
            again, devices that were revoked stay revoked, and codes that were used or taken back stay so, by the files erasures
            and revocations beside the database: keep them with the backups. Which accounts there are, which of them are disabled,
            and roles are as they were when the backup was made: look at them before the server is started.

              shoald restore /backups/monday.db
            """)

    @Argument(help: "What shoald backup wrote.", completion: .file()) var file: String
    @OptionGroup var global: GlobalOptions

    func run() async throws {
        let directory = try global.directory
        try directory.make()
        let lock = try await directory.exclusively("restore a backup")
        defer { withExtendedLifetime(lock) {} }
        let damaged = try ServerStore.restore(DataDirectory.absolute(file), to: directory.database)
        if global.json { return try global.printJSON(["damagedRecords": damaged]) }
        if damaged > 0 {
            print(
                "\(damaged) of its records \(damaged == 1 ? "is" : "are") damaged and will be set aside; everything else goes on."
            )
            print("shoald check names them; shoald check --mend FILE takes them from an earlier backup")
        }
        print("accounts and roles are as they were when the backup was made; set again what you have changed since,")
        print("before the server is started (shoald account list)")
        if directory.revocations.isMissing {
            print(
                "there is no file revocations in \(directory.path): devices too are as they were; revoke again whom you did since"
            )
        }
    }
}

extension DataDirectory {
    /// The path as another process, in another directory, finds it.
    static func absolute(_ path: String) -> String {
        path.hasPrefix("/") ? path : FileManager.default.currentDirectoryPath + "/" + path
    }
}
