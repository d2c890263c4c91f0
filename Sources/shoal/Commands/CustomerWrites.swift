import ArgumentParser
import ShoalClient
import ShoalProtocol

struct CustomerAdd: ReplicaCommand {
    static let configuration = CommandConfiguration(
        commandName: "add",
        abstract: "Add a customer, whom you follow; prints the new id.",
        discussion: """
            Fields: \(FieldArgument.names), and free ones that begin with x-. remark is 会员群-加粉来源-旺旺号-收件人姓名.

            EXAMPLES:
              shoal customer add 王小明
              shoal customer add 王小明 --field phone=13800000000 --field x-city=杭州
            """)

    @Argument(help: "The customer's name.")
    var name: String
    @Option(help: ArgumentHelp("A field and its value; may be repeated.", valueName: "name=value"))
    var field: [FieldArgument] = []
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func validate() throws {
        if name.isEmpty { throw ValidationError("a customer needs a name") }
        try FieldArgument.refuseRepeated(field)
    }

    func run(on replica: Replica, _ screen: inout Screen) throws {
        screen.made(try replica.addCustomer(name: name, fields: field.map(\.field)))
    }
}

struct CustomerSet: ReplicaCommand {
    static let configuration = CommandConfiguration(
        commandName: "set",
        abstract: "Change fields of a customer.",
        discussion: """
            Fields: \(FieldArgument.names), and free ones that begin with x-. remark, description, remark_mobiles, \
            add_way and state are your own, of the relation between your account and the customer. An empty value clears.

            EXAMPLES:
              shoal customer set 0D4K stage=老客 birth_month=05
              shoal customer set 0D4K remark=会员群-直播-xiaoming88-王小明
              shoal customer set 0D4K phone=
            """)

    @Argument(help: "The customer.")
    var id: String
    @Argument(help: ArgumentHelp("Fields and their values.", valueName: "name=value"))
    var fields: [FieldArgument]
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func validate() throws { try FieldArgument.refuseRepeated(fields) }

    func run(on replica: Replica, _ screen: inout Screen) throws {
        try replica.setFields(of: replica.resolve(id, kind: .customer), fields.map(\.field))
        screen.done()
    }
}

struct CustomerDelete: ReplicaCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete",
        abstract: "Delete a customer and the customer's notes.",
        discussion: """
            If a colleague changes the customer without having seen this, the customer comes back with everything: a \
            deletion never wins over an edit that it did not know.

            EXAMPLES:
              shoal customer delete 0D4K
            """)

    @Argument(help: "The customer.")
    var id: String
    @OptionGroup(title: "Global options") var global: GlobalOptions

    func run(on replica: Replica, _ screen: inout Screen) throws {
        try replica.deleteCustomer(replica.resolve(id, kind: .customer))
        screen.done()
    }
}
