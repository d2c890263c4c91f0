import ArgumentParser

/// The root of the commands.
struct Shoal: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "shoal",
        abstract: "Work with your customers, online or not; what you do is synced with your colleagues.",
        discussion: """
            Every command works on this machine's own copy of the data and answers at once. sync exchanges what changed \
            with the server; nothing that somebody did is lost, and what two people changed at the same time is shown \
            under conflicts.

            An id has 13 characters; at least 4 characters from its beginning or its end are enough.
            Every command takes --json, --home DIR and --passphrase-file FILE, before or after its name.

            EXAMPLES:
              shoal enroll https://shoal.example:7420 7QWK-M9X2-4TBD
              shoal customer add 王小明 --field phone=13800000000
              shoal tag 0D4K +肤质/油皮 -新客
              shoal sync
            """,
        version: "0.1.0",
        subcommands: [
            Enroll.self, StatusCommand.self, SyncCommand.self, Customer.self, Follow.self, Unfollow.self, Tag.self,
            Tags.self, Note.self, Search.self, Conflicts.self, Log.self, Devices.self, Export.self, Encrypt.self,
            Decrypt.self, DoctorCommand.self, Dump.self, Debug.self,
        ])

    func run() async throws { throw CleanExit.helpRequest(Shoal.self) }
}
