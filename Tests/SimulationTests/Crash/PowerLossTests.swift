import Foundation
import ShoalSimulation
import Testing

@Suite struct PowerLossTests {
    private static let isNightly = ProcessInfo.processInfo.environment["SHOAL_NIGHTLY"] != nil

    /// Images of disks after a loss of power at any effect of a server and two clients at work: what was promised is there,
    /// the databases are whole, and the next sync makes all equal.
    @Test func whatWasAcknowledgedSurvivesALossOfPowerAtAnyEffect() async throws {
        let found = try await Self.lose(Self.isNightly ? 20_000 : 1_000)
        print("images=\(found.images) corrupt=\(found.corrupt) lost=\(found.lost)")
    }

    /// The same with encrypted homes: a torn write costs no more there.
    @Test func ofEncryptedHomesTheSameSurvives() async throws {
        let found = try await Self.lose(Self.isNightly ? 5_000 : 400, isEncrypted: true)
        print("encrypted_images=\(found.images) corrupt=\(found.corrupt) lost=\(found.lost)")
    }

    private static func lose(
        _ wanted: Int, isEncrypted: Bool = false
    ) async throws -> (images: Int, corrupt: Int, lost: Int) {
        let worlds = wanted / 25
        let results = try await withThrowingTaskGroup(of: (images: Int, corrupt: Int, lost: Int).self) { group in
            for lane in 0..<2 {
                group.addTask {
                    var sum = (images: 0, corrupt: 0, lost: 0)
                    for seed in stride(from: lane, to: worlds, by: 2) {
                        let found = try await Self.images(seed: UInt64(seed), count: 25, isEncrypted)
                        sum = (sum.images + found.images, sum.corrupt + found.corrupt, sum.lost + found.lost)
                    }
                    return sum
                }
            }
            return try await group.reduce(into: (images: 0, corrupt: 0, lost: 0)) { sum, found in
                sum = (sum.images + found.images, sum.corrupt + found.corrupt, sum.lost + found.lost)
            }
        }
        #expect(results.images >= wanted && results.corrupt == 0 && results.lost == 0)
        return results
    }

    private static func images(
        seed: UInt64, count: Int, _ isEncrypted: Bool
    ) async throws -> (images: Int, corrupt: Int, lost: Int) {
        let world = try CrashWorld(seed: seed, isEncrypted: isEncrypted)
        let moments = try world.run(steps: 50, oneIn: 12)
        var (images, corrupt, lost) = (0, 0, 0)
        guard !moments.isEmpty else { return (0, 0, 0) }
        for number in 0..<count {
            let moment = moments[number * moments.count / count]
            let loss = seed &* 1_000 &+ UInt64(number)
            images += 1
            // The other tests have deadlines and share the threads.
            await Task.yield()
            var complaints: [String] = []
            do { complaints = try world.complaints(moment, loss: loss) } catch {
                complaints = ["it cannot be used: \(error)"]
            }
            if complaints.isEmpty { continue }
            if complaints.contains(where: { $0.hasPrefix("lost") }) { lost += 1 } else { corrupt += 1 }
            Issue.record(
                """
                world \(seed), image \(number), machine \(moment.victim), before \(moment.effect): \
                \(complaints.prefix(5).joined(separator: "; "))
                """)
        }
        return (images, corrupt, lost)
    }
}
