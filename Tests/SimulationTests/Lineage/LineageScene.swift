import ShoalCRDT
import ShoalClient
import ShoalProtocol
import ShoalServer
import ShoalSimulation
import Testing

/// A server and some operators' machines, for scenarios of a few lines.
final class LineageScene {
    let world: SeededWorld
    private(set) var server: ServerMachine
    private let serverDisk = SimulatedDisk()

    init(seed: UInt64 = 1) throws {
        world = SeededWorld(seed: seed)
        server = try ServerMachine(serverDisk, world)
    }

    /// An operator with a home of their own, on a machine whose clock is ahead by so many milliseconds.
    func machine(_ name: String, ahead: Int64 = 0) throws -> Machine {
        let disk = SimulatedDisk()
        let (answer, key) = try server.enrolment(name)
        let world = world
        var environment = world.client(disk)
        environment.now = { world.now() + ahead }
        let replica = try Replica.create(
            home: Replica.home(disk), server: "http://server", key: key, enrolment: answer, environment: environment)
        return Machine(self, disk, replica)
    }

    /// The same home on another machine.
    ///
    /// - Parameter leaps: whether its identifiers differ from the original's though the clock stands still.
    func copy(_ image: DiskImage, leaps: Bool = true) throws -> Machine {
        let disk = SimulatedDisk(image)
        var environment = world.client(disk)
        if !leaps {
            let random = environment.random
            environment.random = { random() & ~0x1_FFFF }
        }
        return Machine(self, disk, try Replica(home: Replica.home(disk), environment: environment))
    }

    // MARK: The server

    var backup: DiskImage {
        get throws {
            try server.store.truncateLog()
            return serverDisk.snapshot()
        }
    }

    /// The server's disk after its program has ended as it should.
    func serverImage() throws -> DiskImage {
        try server.store.close()
        return serverDisk.snapshot()
    }

    func restoreServer(_ image: DiskImage) throws {
        serverDisk.crash(.processes)
        serverDisk.restore(image)
        server = try ServerMachine(serverDisk, world)
    }

    /// Syncs all machines until nothing moves, then expects them and the server to hold the same.
    func settle(_ machines: [Machine], _ location: SourceLocation = #_sourceLocation) throws {
        for _ in 0..<3 {
            for machine in machines { try machine.sync() }
        }
        let dump = try server.dump
        for (index, machine) in machines.enumerated() {
            #expect(try machine.replica.dumpLines == dump, "machine \(index)", sourceLocation: location)
            #expect(try machine.replica.status().pending == 0, "machine \(index)", sourceLocation: location)
            let again = try machine.sync()
            #expect(again?.pushed == 0 && again?.pulled == 0, "machine \(index)", sourceLocation: location)
        }
    }
}

/// One home on one machine.
final class Machine {
    private let scene: LineageScene
    let disk: SimulatedDisk
    private(set) var replica: Replica

    init(_ scene: LineageScene, _ disk: SimulatedDisk, _ replica: Replica) {
        self.scene = scene
        self.disk = disk
        self.replica = replica
    }

    var image: DiskImage { disk.snapshot() }

    func close() throws { try replica.close() }
    func open() throws { replica = try Replica(home: Replica.home(disk), environment: scene.world.client(disk)) }

    func copy(leaps: Bool = true) throws -> Machine { try scene.copy(disk.snapshot(), leaps: leaps) }

    /// Puts an earlier state of the home back.
    func restore(_ image: DiskImage) throws {
        disk.crash(.processes)
        disk.restore(image)
        replica = try Replica(home: Replica.home(disk), environment: scene.world.client(disk))
    }

    @discardableResult
    func sync(loses: (Int) -> Bool = { _ in false }) throws -> SyncReport? {
        try replica.sync(scene.server, loses: loses)
    }

    func names() throws -> [String] { try replica.customers().map(\.name).sorted() }
    var id: String { get throws { try replica.status().replica } }
}
