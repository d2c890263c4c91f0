import ArgumentParser
import ShoalServer
import ShoalTerminal

struct DeviceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "device",
        abstract: "The devices of the accounts.",
        discussion: """
            Each enrolment is a device. It is named by any replica that it ever was, as shoal status shows it.

              shoald device list 小美
              shoald device name 3f2a0001 "her tablet"
              shoald device revoke 3f2a0001               it hands over what it had not sent, and empties itself
              shoald device revoke 3f2a0001 --discard     nothing more is taken from it, as when it was stolen
            """,
        subcommands: [List.self, Name.self, Revoke.self])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List the devices of an account, or of all.")
        @Argument(help: "The account's name.") var name: String?
        @OptionGroup var global: GlobalOptions

        func run() async throws {
            let devices = try await Administration.with(global) { try await $0.devices(DeviceListing(account: name)) }
            if global.json { return try global.printJSON(devices) }
            for device in devices { print(device.line) }
        }
    }

    struct Name: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Give a device another name.")
        @Argument(help: "One of its replicas.") var replica: String
        @Argument(help: "Its new name.") var name: String
        @OptionGroup var global: GlobalOptions

        func run() async throws {
            try await Administration.with(global) { try await $0.change(DeviceChange(replica: replica, name: name)) }
            if global.json { try global.printJSON([String: String]()) }
        }
    }

    struct Revoke: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Refuse everything from a device from now on, but its unsent work.",
            discussion: """
                At its next contact it hands that over once, and locks and empties itself. With --discard not even that is
                taken; it may be said later, too.
                """)
        @Argument(help: "One of its replicas.") var replica: String
        @Flag(help: "Take nothing more from it.") var discard = false
        @OptionGroup var global: GlobalOptions

        func run() async throws {
            try await Administration.with(global) {
                try await $0.change(DeviceChange(replica: replica, revokes: true, discards: discard))
            }
            if global.json { try global.printJSON([String: String]()) }
        }
    }
}

extension Device {
    /// How it is listed.
    var line: String {
        let since = revoked.map { " since \($0)" } ?? ""
        let others = replicas.count > 1 ? ", then \(replicas.dropFirst().joined(separator: ", "))" : ""
        let name = name.isEmpty ? "" : "  \(TerminalText.line(name))"
        return "\(replica)\(others)\(name)  enrolled \(enrolled)  \(state.rawValue)\(since)"
    }
}
