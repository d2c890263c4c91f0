import Foundation
import ShoalCRDT
import ShoalClient
import ShoalSimulation
import Testing

/// Copies of homes and backups of the server in any order, and recovery: what anybody wrote is there in the end, as often as it
/// was written. Nobody overwrites anything here, so nothing may be replaced.
struct RandomRecoveryTests {
    /// Of 12,000 three end with one word less, as SPEC.md §3.6 says of a relay that knows more of a log than its author here.
    private static let seeds = ProcessInfo.processInfo.environment["SHOAL_NIGHTLY"] == nil ? 40 : 2_000

    /// Seeds in which something was lost or stood there twice once.
    private static let found: [UInt64] = [73, 336, 718, 1044, 1289, 1320, 1605, 1858, 2397, 11_320]

    /// Everything that was written on a customer, by its words.
    private static func words(_ machine: Machine, _ id: RecordID) throws -> [String] {
        let customer = try machine.replica.customer(id)
        return
            (customer.fields.filter { $0.name.hasPrefix("x-") }.map(\.value)
            + (try machine.replica.notes(of: id).map(\.body))).sorted()
    }

    @Test(arguments: 0..<8)
    func whatWasWrittenIsThereWhateverWasCopiedAndPutBack(part: Int) throws {
        for index in 0..<Self.seeds / 8 { try Self.run(UInt64(part * (Self.seeds / 8) + index + 1)) }
    }

    @Test(arguments: found)
    func whatWasLostOnce(seed: UInt64) throws { try Self.run(seed) }

    private static func run(_ seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        let scene = try LineageScene(seed: seed)
        var machines = try ["anna", "bert", "cora"].map { try scene.machine($0) }
        let id = try machines[0].replica.addCustomer(name: "c")
        for machine in [machines[0], machines[1], machines[2]] { try machine.sync() }
        var backups = [try scene.backup]
        var written: [String] = []
        for _ in 0..<30 {
            let machine = machines[random.below(machines.count)]
            switch random.below(20) {
            case 0...6:
                written.append("w\(written.count)")
                if random.below(2) == 0 {
                    try machine.replica.setFields(
                        of: id, [FieldValue("x-\(written.count)", written[written.count - 1])])
                } else {
                    _ = try machine.replica.addNote(to: id, written[written.count - 1])
                }
            case 7...13: try machine.sync(loses: { _ in random.below(6) == 0 })
            case 14, 15: if machines.count < 6 { machines.append(try machine.copy()) }
            case 16, 17: backups.append(try scene.backup)
            case 18: try scene.restoreServer(backups[random.below(backups.count)])
            default: _ = try scene.server.store.beginRecovery()
            }
        }
        _ = try scene.server.store.beginRecovery()
        try scene.settle(machines)
        try scene.settle(machines)
        #expect(try words(machines[0], id) == written.sorted(), "seed \(seed)")
    }
}
