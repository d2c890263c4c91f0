import ArgumentParser
import ShoalClient
import ShoalProtocol

struct Follow: ReplicaCommand {
    static let configuration = CommandConfiguration(
        commandName: "follow",
        abstract: "Let another account follow a customer.",
        discussion: """
            A follower or a supervisor may add another follower.

            EXAMPLES:
              shoal follow 0D4K --account 专家02
            """)

    @Argument(help: "The customer.")
    var id: String
    @Option(help: ArgumentHelp("The account that is to follow.", valueName: "name"))
    var account: String
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run(on replica: Replica, _ screen: inout Screen) throws {
        try replica.follow(replica.resolve(id, kind: .customer), account: account)
        screen.done()
    }
}

struct Unfollow: ReplicaCommand {
    static let configuration = CommandConfiguration(
        commandName: "unfollow",
        abstract: "Stop following a customer.",
        discussion: """
            Only a supervisor removes another account.

            EXAMPLES:
              shoal unfollow 0D4K
              shoal unfollow 0D4K --account 专家02
            """)

    @Argument(help: "The customer.")
    var id: String
    @Option(help: ArgumentHelp("The account (default: your own).", valueName: "name"))
    var account: String?
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run(on replica: Replica, _ screen: inout Screen) throws {
        try replica.unfollow(replica.resolve(id, kind: .customer), account: account)
        screen.done()
    }
}
