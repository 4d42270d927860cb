"""What is declared: the catalogue, cases, designs, and their order."""
