//! Prints the table.
fn main() {
    for row in longhaul_stats::yardsticks(&longhaul_stats::Detection::default(), 1000, 1) {
        println!("{:?} {:.3}", row.made, row.share);
    }
}
