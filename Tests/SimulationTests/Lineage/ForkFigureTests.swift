import ShoalClient
import ShoalSimulation
import Testing

import class Foundation.ProcessInfo

/// How many copies are found, in one line.
struct ForkFigureTests {
    private static let seeds = ProcessInfo.processInfo.environment["SHOAL_NIGHTLY"] == nil ? 60 : 2_000

    /// Homes are copied at any moment, copies of copies among them; all write and sync in any order, some in vain.
    @Test func everyCopyIsFoundAndNothingOfItIsLost() throws {
        var (forks, detected, lost) = (0, 0, 0)
        for seed in 1...Self.seeds {
            var random = SplitMix64(seed: UInt64(seed))
            let scene = try LineageScene(seed: UInt64(seed))
            var machines = [try scene.machine("anna")]
            let copies = 2 + random.below(4)
            var expected: [String] = []
            func write(_ machine: Machine) throws {
                expected.append("c\(expected.count)")
                _ = try machine.replica.addCustomer(name: expected[expected.count - 1])
            }
            while machines.count <= copies {
                let machine = machines[random.below(machines.count)]
                switch random.below(5) {
                case 0:
                    machines.append(try machine.copy())
                    // What both have unsent is common; each goes on by itself.
                    for one in [machine, machines[machines.count - 1]] { try write(one) }
                case 1: try machine.sync()
                case 2: try machine.sync(loses: { $0 == 1 })
                default: try write(machine)
                }
            }
            try scene.settle(machines)
            forks += copies
            detected += Set(try machines.map { try $0.id }).count - 1
            let names = try machines[0].names()
            lost += expected.count { !names.contains($0) }
            #expect(names == expected.sorted(), "seed \(seed)")
        }
        print("forks=\(forks) detected=\(detected) lost=\(lost)")
        #expect(forks == detected && lost == 0)
    }
}
