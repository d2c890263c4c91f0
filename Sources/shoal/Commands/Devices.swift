import ArgumentParser
import ShoalClient
import ShoalProtocol

struct Devices: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "devices",
        abstract: "List the devices of your account.",
        discussion: """
            Asks the server. Each enrolment is a device; your administrator revokes one that is lost or that you do not know.

            EXAMPLES:
              shoal devices
              shoal devices --json
            """)

    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run() async throws {
        let replica = try global.replica()
        try await Network.use(replica.trust()) { transport in
            let devices = try await Progress("waiting for the server").during {
                try await SyncDriver(replica: replica, transport: transport).devices()
            }
            var screen = Screen(isJSON: global.json)
            if screen.isJSON {
                screen.json { $0.array(devices) { $0.device($1) } }
            } else {
                var table = Table("replica", "name", "enrolled", "state")
                for device in devices {
                    let state = [
                        device.state, device.revoked.map { "since \($0)" } ?? "", device.isThis ? "(this one)" : "",
                    ]
                    table.add(
                        device.replica, device.name, device.enrolled,
                        state.filter { !$0.isEmpty }.joined(separator: " "))
                }
                table.print(to: &screen)
            }
            try screen.finish()
        }
        replica.leave()
    }
}

extension JSONWriter {
    fileprivate mutating func device(_ device: DeviceView) {
        object { json in
            json.member("replica", device.replica)
            json.member("name", device.name)
            json.member("enrolled", device.enrolled)
            json.member("state", device.state)
            if let revoked = device.revoked { json.member("revoked", revoked) }
            json.member("this", device.isThis)
        }
    }
}
