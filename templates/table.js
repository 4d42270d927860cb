// Sorts tables by their column buttons. The page is whole without it.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const key = (row, i) => {
    const cell = row.cells[i];
    if (!cell) return "";
    const raw = cell.dataset.v;
    if (raw === undefined) return cell.textContent.trim();
    return raw === "" ? NaN : Number(raw);
  };
  const compare = (a, b) => {
    if (typeof a === "number" && typeof b === "number") {
      if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
      return a - b;
    }
    return String(a).localeCompare(String(b), undefined, { numeric: true });
  };
  heads.forEach((head, i) => {
    head.querySelector("button")?.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...body.rows].sort((a, b) => {
        const [x, y] = [key(a, i), key(b, i)];
        if (Number.isNaN(x) || Number.isNaN(y)) return compare(x, y); // what is missing stays last
        return down ? compare(y, x) : compare(x, y);
      });
      body.append(...rows);
    });
  });
}
