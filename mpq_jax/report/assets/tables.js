(() => {
  'use strict';

  const value = (row, column) => row.cells[column].dataset.value;

  // Numbers by size, text as people count it; what is empty stays last either way.
  function compare(left, right, sign) {
    if (left === '' || right === '') return (left === '') - (right === '');
    const numbers = [Number(left), Number(right)];
    if (numbers.every(Number.isFinite)) return sign * (numbers[0] - numbers[1]);
    return sign * left.localeCompare(right, 'en', { numeric: true });
  }

  function sort(table, header) {
    const ascending = header.getAttribute('aria-sort') !== 'ascending';
    for (const other of header.parentElement.children) other.setAttribute('aria-sort', 'none');
    header.setAttribute('aria-sort', ascending ? 'ascending' : 'descending');
    const column = header.cellIndex;
    const body = table.tBodies[0];
    const rows = [...body.rows];
    rows.sort((a, b) => compare(value(a, column), value(b, column), ascending ? 1 : -1));
    body.append(...rows);
  }

  for (const card of document.querySelectorAll('.table')) {
    const table = card.querySelector('table');
    for (const header of table.querySelectorAll('th')) {
      header.firstElementChild.addEventListener('click', () => sort(table, header));
    }
    const only = card.querySelector('.only input');
    if (only) only.addEventListener('change', () => table.classList.toggle('only-marked', only.checked));
  }
})();
