import ShoalSimulation
import Testing

@Suite struct SimulationTests {
    @Test func first() {
        for seed in 1...20 as ClosedRange<UInt64> {
            let (findings, _) = Simulation.findings(Settings(seed: seed))
            #expect(findings.isClean, "\(seed): \(findings.sentences.prefix(3))")
        }
    }
}
